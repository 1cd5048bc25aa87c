"""One of two processes that sweep the learning rate together, for row L19.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python ranks_probe.py lehr|fastai

Prints as JSON what this process's `lr_find` answered and left behind.
"""

import importlib
import json
import sys
import types

import torch
from probing import acts, heard, learner, parameters, same


def of_lehr():
    from accelerate import Accelerator
    from lehr import Callback
    from lehr.testing import synth_learner

    api = types.SimpleNamespace(Callback=Callback, synth_learner=synth_learner)
    return api, learner(api, accelerator=Accelerator(cpu=True))


def of_fastai():
    # Both add methods to the Learner.
    importlib.import_module("fastai.callback.schedule")
    importlib.import_module("fastai.distributed")
    from fastai.learner import Callback
    from fastai.test_utils import synth_learner

    # Its loader sends the order of the samples from a CUDA device, whatever the learner's is.
    torch.Tensor.cuda = lambda tensor, *_: tensor
    api = types.SimpleNamespace(Callback=Callback, synth_learner=synth_learner)
    return api, learner(api).to_distributed(cpu=True)


def main():
    api, learn = {"lehr": of_lehr, "fastai": of_fastai}[sys.argv[1]]()
    rates = []
    watcher = acts(
        api, "after_batch", lambda learn: rates.append(float(learn.opt.hypers[-1]["lr"]))
    )
    learn.add_cb(watcher)
    before = parameters(learn)
    answer = heard(lambda: [float(lr) for lr in learn.lr_find(show_plot=False)])
    learn.remove_cb(watcher)
    sweep = getattr(learn.recorder, "sweep", None)
    losses = learn.recorder.losses if sweep is None else sweep.smoothed
    found = {
        "found": answer.get("value", answer.get("raises")),
        "rates": rates,
        "losses": [float(loss) for loss in losses],
        "weights_back": same(parameters(learn), before),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
