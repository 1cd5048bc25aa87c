"""A training whose process is killed again and again ends with the bits of one that is not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

KILLS = 20


class Server:
    """The process that forks the trainings: torch is loaded once."""

    def __init__(self):
        script = Path(__file__).parent / "kill_server.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.read() == "ready"

    def read(self):
        return self.process.stdout.readline().strip()

    def start(self, folder):
        """Begin to train in a process of its own; return its id."""
        folder.mkdir(exist_ok=True)
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        return int(self.read())

    def exit_code(self):
        return int(self.read())


@pytest.fixture
def server():
    server = Server()
    yield server
    server.process.stdin.close()
    server.process.wait(timeout=60)
    server.process.stdout.close()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.0002)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_kill_9_at_random_moments_changes_no_bit_of_the_result(server, tmp_path):
    server.start(tmp_path / "whole")
    assert server.exit_code() == 0
    folder = tmp_path / "killed"
    checkpoints = folder / "models" / "checkpoints"
    rng = random.Random(0)
    in_save = 0
    for kill in range(KILLS):
        before = set(checkpoints.glob("checkpoint-*.pt"))
        process = server.start(folder)
        # The training goes on: a checkpoint that was not there.
        wait_for(lambda before=before: set(checkpoints.glob("checkpoint-*.pt")) - before)
        if kill % 2:
            time.sleep(rng.uniform(0, 0.02))
            # Half of them while a checkpoint is written.
            wait_for(lambda: list(checkpoints.glob(".checkpoint-*.tmp")))
        else:
            time.sleep(rng.uniform(0, 0.08))
        os.kill(process, signal.SIGKILL)
        assert server.exit_code() == -signal.SIGKILL
        in_save += bool(list(checkpoints.glob(".checkpoint-*.tmp")))
    assert in_save >= KILLS // 4
    server.start(folder)
    assert server.exit_code() == 0
    assert not list(checkpoints.glob(".checkpoint-*.tmp"))
    ends = [torch.load(tmp_path / name / "end.pt") for name in ("whole", "killed")]
    assert same(*ends)
