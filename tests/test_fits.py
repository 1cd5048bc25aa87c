"""What the fit methods set, batch by batch and group by group, and what they refuse."""

import json
import math
import sys
import warnings
from functools import partial
from pathlib import Path

import lehr
import numpy as np
import pytest
import torch
from lehr import Callback, DataLoaders, Learner
from lehr.testing import RegModel, synth_dbunch, synth_learner
from mpmath import cos, mp, mpf, pi
from state import plain
from torch import nn

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from fits import FITS, Chain, arguments, chain_groups


@pytest.fixture(scope="module")
def recorded():
    """What fastai 2.8.12 sets, recorded by tests/reference/fits.py."""
    return json.loads((Path(__file__).parent / "data/fits.json").read_text())


class Watch(Callback):
    """Reads from the torch optimizer what is in force when a step is taken."""

    order = 80
    run_valid = False

    def __init__(self):
        self.rows = {"lr": [], "mom": [], "wd": []}
        self.trained = []

    def before_step(self):
        for name, rows in self.rows.items():
            rows.append([hypers[name] for hypers in self.opt.hypers])
        self.trained.append([any(p.requires_grad for p in group) for group in self.opt.param_lists])


def chain(groups=3, n_trn=10, **kwargs):
    torch.manual_seed(0)
    kwargs = {"lr": 1e-2, "splitter": partial(chain_groups, groups)} | kwargs
    return synth_learner(n_trn, model=Chain(), **kwargs)


def train(learn, method, *args, **kwargs):
    """Return what was in force in each batch."""
    watch = Watch()
    with learn.no_logging():
        getattr(learn, method)(*args, cbs=watch, **kwargs)
    return watch


def peaks(rows):
    return [max(column) for column in zip(*rows, strict=True)]


# Beside the reference.


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("name", FITS)
def test_every_batch_has_the_rates_and_momenta_of_the_reference(name, groups, recorded):
    method, args, keywords = FITS[name]
    watch = train(chain(groups), method, *arguments(args), **keywords)
    theirs = recorded["fits"][name][str(groups)]
    assert len(watch.rows["lr"]) == len(theirs["lr"])
    for hyper in ("lr", "mom"):
        ours = np.array(watch.rows[hyper])
        golden = np.array(theirs[hyper])
        if method == "fit_sgdr":
            # The reference restarts a batch late (row S3).
            late = np.abs(golden - ours).max(axis=1) > 1e-6
            assert [k for k in np.flatnonzero(late) if k not in (10, 20, 30, 40)] == []
            ours, golden = ours[~late], golden[~late]
        # The reference's float32 leaves noise in proportion to the peak.
        assert ours == pytest.approx(golden, rel=2e-6, abs=2e-7 * golden.max())
    assert watch.trained == theirs["trained"]


# Beside the formulas, in 50 digits.


def cosine(start, end, share):
    return start + (1 - cos(pi * share)) * (end - start) / 2


def one_cycle(peak, div, div_final, pct_start, k, n):
    """The 1cycle rate of batch k of n, with the float64 parameters as they are."""
    pos, up = mpf(k) / n, mpf(pct_start)
    if pos < up:
        return cosine(mpf(peak) / mpf(div), mpf(peak), pos / up)
    return cosine(mpf(peak), mpf(peak) / mpf(div_final), (pos - up) / (1 - up))


@pytest.fixture
def digits():
    before, mp.dps = mp.dps, 50
    yield
    mp.dps = before


# Powers of two where a phase must begin at a whole batch.
@pytest.mark.parametrize("pct_start", [0.25, 0.5, 0.3125])
def test_flat_cos_is_flat_and_then_a_cosine(pct_start, digits):
    watch = train(chain(2, 16), "fit_flat_cos", 1, [0.5, 2.0], 64, pct_start)
    for k, row in enumerate(watch.rows["lr"]):
        for lr, flat in zip(row, [0.5, 2.0], strict=True):
            share = max((mpf(k) / 16 - pct_start) / (1 - mpf(pct_start)), 0)
            assert lr == pytest.approx(float(cosine(mpf(flat), mpf(flat) / 64, share)), rel=1e-15)
            assert (lr == flat) == (k <= 16 * pct_start)
    assert {tuple(row) for row in watch.rows["mom"]} == {(0.9, 0.9)}


@pytest.mark.parametrize(("start", "warm"), [(0.0, 0), (1.0, 16), (0.5, 8)])
def test_flat_cos_takes_a_whole_or_no_flat_part(start, warm):
    lrs = [row[0] for row in train(chain(1, 16), "fit_flat_cos", 1, pct_start=start).rows["lr"]]
    assert [k for k, lr in enumerate(lrs) if lr == 0.01] == list(range(min(warm + 1, 16)))
    assert lrs == sorted(lrs, reverse=True)


def test_one_cycle_is_the_formula_in_every_group(digits):
    peak = [1e-3, 0.2, 3.0]
    watch = train(chain(3, 16), "fit_one_cycle", 2, peak, div=7, div_final=1e3, pct_start=0.3)
    for k, row in enumerate(watch.rows["lr"]):
        exact = [float(one_cycle(lr, 7, 1e3, 0.3, k, 32)) for lr in peak]
        assert row == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(
    ("cycles", "length", "mult", "epochs", "starts"),
    [
        (3, 1, 2, 7, [0, 10, 30]),
        (2, 3, 2, 9, [0, 30]),
        (4, 2, 1, 8, [0, 20, 40, 60]),
        (3, 2, 1.5, 10, [0, 21, 53]),  # 2, 3, 4.5 epochs in 9.5, taken as 10
        (3, 4, 0.5, 7, [0, 40, 60]),
        (1, 3, 5, 3, [0]),
        (2, 1, 0.4, 1, [0, 7]),  # 1 and 0.4 epochs in 1.4, taken as 1: 10/1.4 = 7.14
    ],
)
def test_sgdr_restarts_at_whole_batches(cycles, length, mult, epochs, starts, digits):
    watch = train(chain(1), "fit_sgdr", cycles, length, 0.5, mult)
    lrs = [row[0] for row in watch.rows["lr"]]
    total = 10 * epochs
    assert len(lrs) == total
    assert [k for k, lr in enumerate(lrs) if lr == 0.5] == starts
    for first, end in zip(starts, [*starts[1:], total], strict=True):
        for k in range(first, end):
            share = mpf(k - first) / (end - first)
            assert lrs[k] == pytest.approx(float(cosine(mpf(1) / 2, 0, share)), rel=1e-13, abs=0)


def test_sgdr_counts_the_batches_of_steps_per_epoch():
    lrs = train(chain(1), "fit_sgdr", 2, 1, 0.5, 2, steps=4).rows["lr"]
    assert [k for k, (lr,) in enumerate(lrs) if lr == 0.5] == [0, 4]
    assert len(lrs) == 12


@pytest.mark.parametrize(
    ("base_lr", "frozen", "free"),
    [
        (0.02, [0.002, 0.002, 0.02], [1e-4, 1e-3, 0.01]),
        ([0.1, 0.2, 0.4], [0.1, 0.2, 0.4], [0.05, 0.1, 0.2]),
        (np.array([0.1, 0.2, 0.4]), [0.1, 0.2, 0.4], [0.05, 0.1, 0.2]),
        (torch.tensor([0.5, 0.25, 1.0]), [0.5, 0.25, 1.0], [0.25, 0.125, 0.5]),
        (slice(0.01, 0.16), [0.01, 0.04, 0.16], [0.005, 0.02, 0.08]),
        (None, [0.001, 0.001, 0.01], [5e-5, 5e-4, 0.005]),
    ],
    ids=["number", "list", "array", "tensor", "slice", "none"],
)
def test_fine_tune_has_the_peaks_of_base_lr(base_lr, frozen, free):
    """With the peak on a batch of each fit: of 100 batches number 99, of 10 number 3."""
    first = train(chain(3, 100), "fine_tune", 1, base_lr, start_epoch=0).rows["lr"]
    assert peaks(first[:100]) == pytest.approx(frozen, rel=1e-14)
    assert peaks(first[100:]) == pytest.approx(free, rel=1e-14)
    assert first[99] == pytest.approx(frozen, rel=1e-14)
    assert first[130] == pytest.approx(free, rel=1e-14)


@pytest.mark.parametrize("lr_max", [0.3, slice(0.003, 0.3), [0.1, 0.2, 0.3]])
def test_fine_tune_takes_the_second_peak_in_every_form(lr_max):
    lrs = train(chain(3), "fine_tune", 1, 0.02, lr_max=lr_max).rows["lr"]
    expected = {0: [0.3] * 3, 1: [0.003, 0.03, 0.3], 2: [0.1, 0.2, 0.3]}
    index = 0 if lr_max == 0.3 else 1 if isinstance(lr_max, slice) else 2
    assert lrs[13] == pytest.approx(expected[index], rel=1e-14)
    assert lrs[0] == pytest.approx([0.002 / 25, 0.002 / 25, 0.02 / 25], rel=1e-14)


def test_fine_tune_without_frozen_epochs_is_one_cycle_of_all_groups():
    ours = train(chain(3), "fine_tune", 2, 0.02, freeze_epochs=0)
    theirs = train(chain(3), "fit_one_cycle", 2, slice(1e-4, 1e-2), div=5.0, pct_start=0.3)
    assert ours.rows == theirs.rows
    assert ours.trained == [[True] * 3] * 20


@pytest.mark.parametrize("start", range(5))
def test_fine_tune_from_an_epoch_has_the_rates_of_the_whole(start):
    whole = train(chain(3), "fine_tune", 2, freeze_epochs=2)
    part = train(chain(3), "fine_tune", 2, freeze_epochs=2, start_epoch=start)
    assert part.rows == {name: rows[10 * start :] for name, rows in whole.rows.items()}
    assert part.trained == whole.trained[10 * start :]


def test_fine_tune_hands_its_arguments_to_both_fits():
    learn = chain(3, wd_bn_bias=True)
    fits = []

    class Fits(Callback):
        def before_fit(self):
            fits.append((self.opt, self.n_epoch, self.steps))

    watch = Watch()
    with learn.no_logging():
        learn.fine_tune(
            2, freeze_epochs=1, wd=0.25, moms=(0.75, 0.5, 0.625), div_final=2.0,
            reset_opt=True, steps=4, cbs=[Fits, watch],
        )  # fmt: skip
    assert [row[1:] for row in fits] == [(1, 4), (2, 4)]
    assert fits[0][0] is not fits[1][0]
    assert watch.rows["wd"] == [[0.25] * 3] * 12
    assert [watch.rows["mom"][k][0] for k in (0, 4)] == [0.75, 0.75]
    assert watch.trained == [[False, True, True]] * 4 + [[True] * 3] * 8
    lasts = [watch.rows["lr"][k][-1] for k in (3, 11)]
    assert 1e-3 < lasts[0] <= 2e-3
    assert 5e-4 < lasts[1] < 1e-3


def test_fine_tune_warns_once_of_an_optimizer_without_momentum_at_the_call():
    learn = chain(2)
    learn.opt_func = torch.optim.Adagrad
    with pytest.warns(UserWarning, match="Adagrad has no momentum") as caught, learn.no_logging():
        learn.fine_tune(1)
    assert [Path(one.filename).name for one in caught] == [Path(__file__).name]


# Groups, values and optimizers.


@pytest.mark.parametrize("method", ["fit", "fit_flat_cos", "fit_one_cycle"])
@pytest.mark.parametrize("wd", [0.5, [0.1, 0.2, 0.3], slice(0.01, 0.16), np.float32(0.5)])
def test_weight_decay_may_be_one_per_group(method, wd):
    expected = {float: [0.5] * 3, list: wd, slice: [0.01, 0.04, 0.16], np.float32: [0.5] * 3}
    rows = train(chain(wd_bn_bias=True), method, 1, wd=wd).rows["wd"]
    assert rows[0] == pytest.approx(expected[type(wd)], rel=1e-14)
    assert rows == [rows[0]] * 10


OPTIMIZERS = {
    "SGD": (partial(torch.optim.SGD, momentum=0.9), True),
    "nesterov": (partial(torch.optim.SGD, momentum=0.9, nesterov=True), True),
    "Adam": (torch.optim.Adam, True),
    "AdamW": (torch.optim.AdamW, True),
    "tensor rate": (partial(torch.optim.Adam, lr=torch.tensor(0.5)), True),
    "RMSprop": (partial(torch.optim.RMSprop, momentum=0.9), True),
    "Adagrad": (torch.optim.Adagrad, False),
    "RMSprop without": (torch.optim.RMSprop, False),
    "SGD without": (torch.optim.SGD, False),
}


@pytest.mark.parametrize("method", ["fit_one_cycle", "fit_flat_cos", "fine_tune"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_discriminative_rates_reach_every_optimizer(name, method):
    opt_func, has_momentum = OPTIMIZERS[name]
    learn = chain(3)
    learn.opt_func = opt_func
    inside = []

    class Inside(Callback):
        run_valid = False
        order = 80

        def before_step(self):
            inside.append(
                [
                    (float(g["lr"]), g["betas"][0] if "betas" in g else g.get("momentum"))
                    for g in self.opt.torch.param_groups
                ]
            )

    rates = [0.0625, 0.125, 0.25]
    arguments = {"base_lr": rates} if method == "fine_tune" else {}
    positional = [1] if method == "fine_tune" else [1, rates]
    with warnings.catch_warnings():
        warnings.simplefilter("error" if has_momentum or method == "fit_flat_cos" else "ignore")
        with learn.no_logging():
            getattr(learn, method)(*positional, cbs=Inside, **arguments)
    # Norms and biases form torch groups of their own: each group of ours is two, the norm one.
    ours = [0, 0, 1, 2, 2]
    scheduled = {"fit_one_cycle": 10, "fit_flat_cos": 0, "fine_tune": 20}[method]
    for batch in inside:
        relative = [lr / batch[0][0] for lr, _ in batch]
        assert relative == pytest.approx([2.0**group for group in ours], rel=1e-6)
    momenta = [batch[0][1] for batch in inside]
    if has_momentum and scheduled:
        assert momenta[0] == 0.95
        assert len(set(momenta[:10])) > 5
    else:
        assert len(set(momenta)) == 1


def test_momenta_per_group_follow_their_own_cosine(digits):
    start, peak, end = [0.9, 0.8, 0.7], [0.5, 0.6, 0.4], [0.95, 0.85, 0.1]
    learn = chain(3, 16)
    rows = train(learn, "fit_one_cycle", 1, moms=(start, np.array(peak), torch.tensor(end))).rows
    end = torch.tensor(end).double().tolist()
    for k, row in enumerate(rows["mom"]):
        for group, mom in enumerate(row):
            ends = (start, peak) if k < 4 else (peak, end)
            share = mpf(k) / 4 if k < 4 else mpf(k - 4) / 12
            low, high = (mpf(one[group]) for one in ends)
            assert mom == pytest.approx(float(cosine(low, high, share)), rel=1e-14)


def test_a_rate_of_a_group_does_not_reach_another_where_the_optimizer_shares_a_tensor():
    """torch puts the tensor it was given into every group."""
    model = Chain()
    shared = torch.optim.SGD(
        [{"params": group} for group in chain_groups(3, model)], lr=torch.tensor(0.5)
    )
    for opt in (
        lehr.OptimWrapper(chain_groups(3, model), torch.optim.SGD, lr=torch.tensor(0.5)),
        lehr.OptimWrapper(chain_groups(3, model), torch.optim.Adam, betas=(torch.tensor(0.5),) * 2),
        lehr.OptimWrapper(opt=shared),
    ):
        name = "lr" if isinstance(opt.torch, torch.optim.SGD) else "mom"
        opt.set_hyper(name, [0.125, 0.25, 0.5])
        assert opt.get_hyper(name) == [0.125, 0.25, 0.5]


# Misuse: one clear error, and nothing changed.

NUMBERS = [math.nan, math.inf, -1, "0.1", True, {}, [1e-3] * 4, object(), 1 + 2j, []]
WHOLE = [1.5, "2", True, None, -1, math.nan, [1], torch.tensor(0.5)]
RATES = [math.nan, math.inf, -1, "0.1", {}, [1e-3] * 4, object(), 1 + 2j, [], slice(None)]

MISUSE = [
    *(("fit", {name: value}) for name in ("lr", "wd") for value in RATES),
    *(("fit", {"n_epoch": value}) for value in [*WHOLE, 0]),
    *(("fit", {"start_epoch": value}) for value in [*WHOLE, 3]),
    *(("fit", {"steps": value}) for value in [*WHOLE, 0] if value is not None),
    *(("fit", {"cbs": value}) for value in (3, [lehr.TrainEvalCallback, None], int, object)),
    *(("fit_one_cycle", {"lr_max": value}) for value in RATES),
    *(
        ("fit_one_cycle", {name: value})
        for name in ("div", "div_final", "pct_start")
        for value in [*NUMBERS, None]
        if value is not True
    ),
    *(
        ("fit_one_cycle", {"moms": value})
        for value in (0.9, True, (), (0.9, 0.8), "ab", (0.9, 1.0, 0.9), (0.9, -0.1, 0.9),
                      (0.9, math.nan, 0.9), (0.9, None, 0.9), (0.9, [0.1, 0.2], 0.9))
    ),
    *(("fit_flat_cos", {"lr": value}) for value in RATES),
    *(("fit_flat_cos", {"pct_start": value}) for value in (-0.1, 1.1, math.nan, None, "x")),
    *(("fit_flat_cos", {"div_final": value}) for value in (0, -1, math.nan, None, "x")),
    *(("fit_sgdr", {name: value}) for name in ("n_cycles", "cycle_len") for value in [*WHOLE, 0]),
    *(("fit_sgdr", {"cycle_mult": value}) for value in (0, -1, math.nan, math.inf, None, "x", [])),
    *(("fit_sgdr", {"lr_max": value}) for value in RATES),
    *(("fit_sgdr", {"n_cycles": 100}), ("fit_sgdr", {"cycle_mult": 0.01, "n_cycles": 3})),
    *(("fine_tune", {"epochs": value}) for value in [*WHOLE, 0]),
    *(("fine_tune", {"freeze_epochs": value}) for value in WHOLE),
    *(("fine_tune", {"start_epoch": value}) for value in [*WHOLE, 4]),
    *(("fine_tune", {name: v}) for name in ("base_lr", "lr_max", "wd") for v in RATES),
    *(
        ("fine_tune", {name: value})
        for name in ("lr_mult", "div", "div_final")
        for value in (0, -1, math.nan, math.inf, None, "x", [])
    ),
    *(("fine_tune", {"pct_start": value}) for value in (-0.1, 1.1, math.nan, None, "x")),
    *(("fine_tune", {"moms": value}) for value in (True, (0.9,), (0.9, 2, 0.9))),
    *(("fine_tune", {"cbs": value}) for value in (3, [None])),
    *(("fine_tune", {"steps": value}) for value in (0, True, "x")),
]  # fmt: skip

FIRST = {"fit": {"n_epoch": 2}, "fit_one_cycle": {"n_epoch": 2}, "fit_flat_cos": {"n_epoch": 2},
         "fit_sgdr": {"n_cycles": 2, "cycle_len": 1}, "fine_tune": {"epochs": 2}}  # fmt: skip


def everything(learn):
    """Weights, flags, gradients, optimizer, callbacks, record, in a form that compares."""
    return {
        "params": [plain(p) for p in learn.model.parameters()],
        "buffers": [plain(b) for b in learn.model.buffers()],
        "modes": [m.training for m in learn.model.modules()],
        "flags": [p.requires_grad for p in learn.model.parameters()],
        "grads": [plain(p.grad) for p in learn.model.parameters()],
        "opt": (id(learn.opt), learn.opt and (plain(learn.opt.state_dict()), learn.opt.frozen_idx)),
        "settings": (learn.lr, learn.wd, learn.moms, learn.n_epoch, learn.steps, learn.pct_train),
        "cbs": [id(cb) for cb in learn.cbs],
        "logger": id(learn.logger),
        "record": (list(learn.recorder.lrs), list(learn.recorder.values)),
    }


def misuse_id(value):
    return repr(value) if not isinstance(value, dict) else "-".join(f"{k}={v!r}" for k, v in
                                                                    value.items())  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    learn = chain(3, 2)
    with learn.no_logging():
        learn.fit_one_cycle(1)
        learn.freeze_to(1)
        learn.fit(1, wd=0.125)
    return learn


@pytest.mark.parametrize("reset_opt", [False, True])
@pytest.mark.parametrize(("method", "wrong"), MISUSE, ids=misuse_id)
def test_a_wrong_argument_is_named_with_its_value_and_changes_nothing(
    method, wrong, reset_opt, trained
):
    before = everything(trained)
    name, value = next(iter(wrong.items()))
    with pytest.raises((TypeError, ValueError)) as caught, trained.no_logging():
        getattr(trained, method)(**FIRST[method] | wrong, reset_opt=reset_opt)
    assert everything(trained) == before
    message = str(caught.value)
    assert f"`{name}" in message or f"`freeze_epochs + {name}" in message, message
    shown = repr(value) if isinstance(value, (str, bool, dict, slice, type(None))) else ""
    assert shown in message, message


def test_wrong_arguments_leave_a_fresh_learner_fresh():
    learn = chain(2)
    for method, wrong in (
        ("fit", {"wd": -1}),
        ("fit_one_cycle", {"div": 0}),
        ("fine_tune", {"div": 0}),
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"), learn.no_logging():
            getattr(learn, method)(1, **wrong)
        assert learn.opt is None


def test_a_wrong_decay_of_the_learner_is_found_before_the_frozen_fit():
    learn = chain(2, wd=-1)
    with pytest.raises(ValueError, match="`wd` must be at least 0, got -1"), learn.no_logging():
        learn.fine_tune(1)
    assert learn.opt is None
    assert all(p.requires_grad for p in learn.model.parameters())


def test_momenta_for_an_optimizer_without_them_are_refused_before_training():
    learn = chain(2)
    learn.opt_func = torch.optim.Adagrad
    for method in ("fit_one_cycle", "fine_tune"):
        with pytest.raises(KeyError, match="`mom` is not a hyper-parameter"), learn.no_logging():
            getattr(learn, method)(1, moms=(0.9, 0.8, 0.9))
        assert learn.opt is None
    assert learn.recorder.lrs == []


def test_an_interrupted_fit_that_reset_the_optimizer_keeps_the_new_one():
    class Stop(Callback):
        def after_batch(self):
            raise ZeroDivisionError

    learn = chain(2)
    learn.create_opt()
    for method in ("fit", "fit_one_cycle", "fit_flat_cos", "fine_tune"):
        old = learn.opt
        with pytest.raises(ZeroDivisionError), learn.no_logging():
            getattr(learn, method)(1, reset_opt=True, cbs=Stop)
        assert learn.opt is not old
        assert learn.opt.steps == 1
        assert learn.steps is None
        learn.unfreeze()


def test_fits_begin_with_the_callbacks_given_and_end_without_them():
    learn = Learner(
        synth_dbunch(n_train=2), Chain(), nn.MSELoss(), splitter=partial(chain_groups, 2)
    )
    kept = list(learn.cbs)
    made = []

    class Mine(Callback):
        def __init__(self):
            made.append(self)

        def after_fit(self):
            assert self in self.learn.cbs

    with learn.no_logging():
        for method in ("fit", "fit_one_cycle", "fit_flat_cos"):
            getattr(learn, method)(1, cbs=Mine)
        learn.fit_sgdr(1, 1, cbs=(Mine(),))
        learn.fine_tune(1, cbs=iter([Mine]))
    assert learn.cbs == kept
    assert len(made) == 5
    assert all(cb.learn is None for cb in made)


def test_a_tensor_rate_of_the_caller_is_not_filled_and_the_next_fit_begins_at_it():
    rate = torch.tensor(1e-2)
    learn = synth_learner(n_trn=4)
    learn.opt_func = partial(torch.optim.Adam, lr=rate)
    with learn.no_logging():
        learn.fit_one_cycle(2)
        assert rate == torch.tensor(1e-2)
        assert learn.lr == rate.item()
        learn.fit_one_cycle(1)
        assert max(learn.recorder.lrs) == pytest.approx(1e-2, rel=1e-6)
        learn.fit(1, lr=0.5)
        learn.fit(1)
        assert learn.recorder.lrs == pytest.approx([1e-2] * 4, rel=1e-6)


def test_a_refused_argument_leaves_a_built_optimizer_its_state():
    model = RegModel()
    built = torch.optim.Adam(model.parameters(), lr=1e-3)
    learn = synth_learner(model=model)
    learn.opt_func = built
    with learn.no_logging():
        learn.fit(1)
        assert len(built.state) == 2
        with pytest.raises(ValueError, match="`pct_start`"):
            learn.fit_one_cycle(1, pct_start=3, reset_opt=True)
        assert len(built.state) == 2
        learn.create_opt()
    assert len(built.state) == 0


def test_a_silenced_callback_acts_again_in_the_fit_after_an_interrupted_one():
    class Count(Callback):
        seen = 0

        def before_batch(self):
            self.seen += 1

    class Stop(Callback):
        def before_validate(self):
            raise KeyboardInterrupt

    count = Count()
    learn = synth_learner(cbs=count)
    count.run = False
    with learn.no_logging():
        with pytest.raises(KeyboardInterrupt):
            learn.fit(1, cbs=Stop)
        assert count.seen == 0
        learn.fit(1)
    assert count.seen == 12


def test_an_exhausted_iterator_is_a_clear_error_and_not_an_empty_epoch():
    batches = iter([(torch.ones(2, 1), torch.ones(2, 1))] * 10)
    learn = synth_learner(data=DataLoaders(batches, device="cpu"))
    with learn.no_logging(), pytest.raises(ValueError, match="gave no batch in epoch 1"):
        learn.fit(3, steps=10)


def test_a_function_that_makes_an_optimizer_may_want_the_rate():
    def make(params, lr):
        return torch.optim.SGD(params, lr=lr, momentum=0.9)

    learn = synth_learner(lr=2e-3)
    learn.opt_func = make
    with learn.no_logging():
        learn.fit(1)
    assert learn.opt.get_hyper("lr") == [2e-3]


def test_an_optimizer_of_another_model_is_refused():
    learn = synth_learner()
    learn.opt_func = torch.optim.Adam(RegModel().parameters(), lr=0.1)
    with learn.no_logging(), pytest.raises(ValueError, match="has no parameter of the model"):
        learn.fit(1)
    learn = synth_learner()
    with learn.no_logging():
        learn.fit(1)
        learn.model = RegModel()
        with pytest.raises(ValueError, match="reset_opt=True"):
            learn.fit_one_cycle(1)
        learn.fit_one_cycle(1, reset_opt=True)


def test_metrics_may_be_set_later_and_give_floats():
    class Share(lehr.Metric):
        def reset(self):
            self.values = []

        def accumulate(self, learn):
            self.values.append(learn.loss)

        @property
        def value(self):
            return torch.stack(self.values).mean()

    learn = synth_learner()
    learn.metrics = [Share, lambda pred, target: (pred - target).abs().mean()]
    with learn.no_logging():
        learn.fit(1)
    assert all(type(value) is float for value in learn.recorder.values[0])
    assert len(learn.recorder.values[0]) == 4


def test_a_second_recorder_is_refused():
    with pytest.raises(ValueError, match="the learner has a Recorder"):
        synth_learner(cbs=lehr.Recorder(train_metrics=True))


def test_an_epoch_shorter_than_planned_warns_once():
    learn = synth_learner(n_trn=4)
    with learn.no_logging(), pytest.warns(UserWarning, match="4 of 10 planned batches") as seen:
        learn.fit(3, steps=10)
    assert len(seen) == 1
