"""What the probes of a training, a finder and resuming are made of.

Every probe takes a namespace of public names, the same on reference and lehr, and returns plain
JSON values. Besides the public names it holds `synth_learner`, `synth_dbunch`, `RegModel` and
`loaders(train, valid)`, which makes the loaders of a learner from any iterables of batches. Where
what a row asks for is an option that the reference lacks, the probe uses it, and the reference's
answer is its error.
"""

import contextlib
import io
import random
import tempfile
import warnings
from functools import partial

import numpy as np
import torch
from probes import outcome, plain

# Characters kept of a long message.
SHOWN = 200


def seed(number):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def run(probe, api):
    """Run a probe in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        seed(0)
        with contextlib.redirect_stdout(io.StringIO()):
            return plain(probe(api))


def heard(function):
    """Return the outcome with the warnings that came with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = outcome(function)
    texts = dict.fromkeys(f"{w.category.__name__}: {w.message}"[:SHOWN] for w in caught)
    if "message" in found:
        found["message"] = found["message"][:SHOWN]
    return found | {"warns": list(texts)}


def interrupted(function):
    """Whether `function` ended in a KeyboardInterrupt."""
    try:
        function()
    except KeyboardInterrupt:
        return True
    return False


def two_groups(model):
    return [[model.a], [model.b]]


def learner(api, groups=1, opt=None, progress=False, number=0, **kwargs):
    """A line on synthetic points, with one parameter a group if there are two groups."""
    seed(number)
    if groups == 2:
        kwargs["splitter"] = two_groups
    learn = api.synth_learner(**kwargs)
    if opt is not None:
        learn.opt_func = opt
    if not progress:
        learn.remove_cbs([callback for callback in learn.cbs if callback.name == "progress"])
    learn.logger = lambda row: None
    return learn


def acts(api, event, action, order=1000, valid=False):
    """A callback that calls `action(learn)` in one event."""
    members = {"order": order, "run_valid": valid, event: lambda self: action(self.learn)}
    return type("Acts", (api.Callback,), members)()


def hypers(learn, name):
    return [group[name] for group in learn.opt.hypers]


def watch(api, name, seen):
    """A callback that notes a hyper-parameter of every group, batch by batch."""
    return acts(api, "after_pred", lambda learn: seen.append(plain(hypers(learn, name))))


def counts(api, seen):
    """A callback that notes every training batch."""
    return acts(api, "after_pred", lambda learn: seen.append(learn.train_iter))


def interrupts(api, batch, event="after_step"):
    """A callback that is interrupted once, in training batch `batch`."""
    armed = [True]

    def act(learn):
        if armed and learn.train_iter == batch:
            armed.clear()
            raise KeyboardInterrupt

    return acts(api, event, act)


def parameters(learn):
    return {name: param.detach().clone() for name, param in learn.model.named_parameters()}


def moved(learn, function):
    """The names of the parameters that `function` changes."""
    before = parameters(learn)
    function()
    return [
        name for name, param in parameters(learn).items() if not torch.equal(param, before[name])
    ]


def same(a, b):
    """Whether two structures of tensors and numbers are equal, bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def wrapped(api, kind, **kwargs):
    """An `opt_func` that makes a torch optimizer."""
    return partial(api.OptimWrapper, opt=kind, **kwargs)


def collect(names, letter):
    """The probes of a module by their rows: each runs in an empty folder, with fixed seeds."""
    return {
        name.upper(): partial(run, function)
        for name, function in names.items()
        if name[0] == letter and name[1:].isdigit()
    }
