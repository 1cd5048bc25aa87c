"""Running a command as several processes that train together."""

import os
import socket
import subprocess
import tempfile
import time


def together(command, size, seconds):
    """Run `command` as processes that find each other, on the CPU, with one thread each.

    Returns:
        Of each process its exit code, below 0 where it was killed after `seconds`, its output and
        its errors.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    end = time.monotonic() + seconds
    running = []
    try:
        for rank in map(str, range(size)):
            files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115 (closed below)
            env = common | {"RANK": rank, "LOCAL_RANK": rank}
            out, err = files
            running.append((subprocess.Popen(command, env=env, stdout=out, stderr=err), files))
        for process, _ in running:
            process.wait(max(end - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process, _ in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    found = []
    for process, files in running:
        texts = []
        for file in files:
            with file:
                file.seek(0)
                texts.append(file.read())
        found.append((process.returncode, *texts))
    return found
