"""What several tests need: a copy of all that must stay as it was, and a loader with a place."""

import random

import numpy as np
import torch


def plain(value):
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return repr(value)


def capture(model, optimizer, generators=()):
    """Return a comparable copy of model, optimizer and random generators."""
    return {
        "params": {n: plain(p) for n, p in model.named_parameters()},
        "ids": [id(p) for p in model.parameters()],
        "buffers": {n: plain(b) for n, b in model.named_buffers()},
        "buffer ids": [id(b) for b in model.buffers()],
        "grads": {n: plain(p.grad) for n, p in model.named_parameters()},
        "modes": [m.training for m in model.modules()],
        "state": [plain(optimizer.state.get(p, {})) for p in model.parameters()],
        "hypers": [
            plain({k: v for k, v in g.items() if k != "params"}) for g in optimizer.param_groups
        ],
        "python": random.getstate(),
        "numpy": plain(np.random.get_state()),
        "torch": plain(torch.get_rng_state()),
        "generators": [plain(g.get_state()) for g in generators],
    }


class Placed:
    """A loader that goes on where it was."""

    def __init__(self, batches):
        self.batches, self.place = batches, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        while self.place < len(self.batches):
            self.place += 1
            yield self.batches[self.place - 1]
        self.place = 0

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]
