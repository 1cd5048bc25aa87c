"""Runs trainings in processes of their own, for a test that kills them.

Reads folders, one a line; for each forks a process that trains there, or goes on with what was
begun there, prints its process id, and when it has ended its exit code.
"""

import os
import sys
from pathlib import Path

import torch
from lehr import CheckpointCallback, DataLoaders, Learner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

WIDTH = 256


def learner(folder):
    torch.set_num_threads(1)
    data = torch.Generator().manual_seed(0)
    x = torch.randn(160, WIDTH, generator=data)
    train = TensorDataset(x, x.roll(1, 1))
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(0.1), nn.Linear(WIDTH, WIDTH)
    )
    loaders = DataLoaders(
        DataLoader(train, batch_size=8, shuffle=True),
        DataLoader(train, batch_size=80),
        device="cpu",
    )
    return Learner(
        loaders,
        model,
        nn.MSELoss(),
        path=folder,
        splitter=lambda m: [list(m[:2].parameters()), list(m[3].parameters())],
    )


def train(folder):
    learn = learner(folder)
    # An evaluation order of a fresh process: nothing that was drawn before may matter.
    torch.manual_seed(int.from_bytes(os.urandom(4)) if (folder / "models").exists() else 7)
    saver = CheckpointCallback(every_steps=1, keep=2)
    with learn.no_logging():
        if any((folder / "models" / "checkpoints").glob("checkpoint-*.pt")):
            learn.resume(folder / "models" / "checkpoints", cbs=saver)
        else:
            torch.manual_seed(7)
            learn.fine_tune(6, freeze_epochs=3, cbs=saver)
    end = {
        "model": learn.model.state_dict(),
        "opt": learn.opt.state_dict(),
        "losses": learn.recorder.losses,
        "values": learn.recorder.values,
    }
    torch.save(end, folder / "end.pt")


def main():
    print("ready", flush=True)
    for line in sys.stdin:
        folder = Path(line.strip())
        process = os.fork()
        if process == 0:
            code = 1
            try:
                train(folder)
                code = 0
            finally:
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
