"""Gradients gathered over batches, clipped, and computed in half precision, on the CPU."""

import math

import lehr
import pytest
import torch
from lehr import (
    Callback,
    CheckpointCallback,
    DataLoaders,
    GradientAccumulation,
    GradientClip,
    MixedPrecision,
)
from lehr.testing import synth_learner
from torch import nn

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
)


def batches(sizes, seed=0):
    random = torch.Generator().manual_seed(seed)
    found = []
    for size in sizes:
        x = torch.randn(size, 2, generator=random)
        found.append((x, x.sum(dim=1, keepdim=True) + 1))
    return found


def linear(train, valid=None, device="cpu", seed=1, **kwargs):
    """Return a learner of a linear layer: what autocast runs in half precision."""
    torch.manual_seed(seed)
    data = DataLoaders(train, batches([4]) if valid is None else valid, device=device)
    return synth_learner(data=data, model=nn.Linear(2, 1), **({"lr": 1e-2} | kwargs))


def fit(learn, n_epoch=1, cbs=None, method="fit", **kwargs):
    with learn.no_logging():
        getattr(learn, method)(n_epoch, cbs=cbs, **kwargs)
    return learn


def weights(learn):
    return [p.detach().clone() for p in learn.model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a, b, rtol=1e-5):
    return all(torch.allclose(x, y, rtol=rtol, atol=1e-7) for x, y in zip(a, b, strict=True))


class Log(Callback):
    order = 1000

    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append(event)


def test_orders_are_the_reference_s():
    kinds = (GradientAccumulation, MixedPrecision, GradientClip)
    assert [kind.order for kind in kinds] == [6, 10, 11]


# Gathering.


def test_a_batch_that_gathers_is_cancelled_before_its_step():
    log = Log()
    fit(linear(batches([16] * 4)), cbs=[GradientAccumulation(40), log])
    gathers = ["before_batch", "after_pred", "after_loss", "before_backward", "after_backward"]
    gathers += ["after_cancel_batch", "after_batch"]
    steps = [*gathers[:5], "before_step", "after_step", "after_batch"]
    train = log.seen[log.seen.index("before_train") + 1 : log.seen.index("after_train")]
    assert train == [*gathers, *gathers, *steps, *gathers]


@pytest.mark.parametrize(
    ("sizes", "n_acc", "whole"),
    [
        ([16, 16], 32, [32]),
        ([16, 16, 8], 40, [40]),
        ([8] * 6, 16, [16] * 3),
        ([16] * 2, 16, [16] * 2),
    ],
)
def test_gathered_batches_train_as_one_batch(sizes, n_acc, whole):
    every = batches(sizes)
    x, y = (torch.cat(parts) for parts in zip(*every, strict=True))
    joined = list(zip(x.split(whole), y.split(whole), strict=True))
    parts = fit(linear(every), 3, GradientAccumulation(n_acc))
    assert close(weights(parts), weights(fit(linear(joined), 3)))
    assert parts.opt.steps == 3 * len(whole)


def test_the_gradient_is_the_sum_over_n_acc_where_more_is_gathered():
    every = batches([16] * 3)
    grads = []

    class Grads(Callback):
        order = 20

        def before_step(self):
            grads.append(self.model.weight.grad.clone())

    fit(linear(every), cbs=[GradientAccumulation(40), Grads()])
    learn = linear(every)
    x, y = (torch.cat(parts) for parts in zip(*every, strict=True))
    (((learn.model(x) - y) ** 2).sum() / 40).backward()
    assert torch.allclose(grads[0], learn.model.weight.grad, rtol=1e-5)


def test_recorded_losses_are_not_scaled():
    plain = fit(linear(batches([16] * 4), lr=0))
    parts = fit(linear(batches([16] * 4), lr=0), cbs=GradientAccumulation(64))
    assert parts.recorder.raw_losses == plain.recorder.raw_losses
    assert parts.recorder.values == plain.recorder.values


def test_gathering_goes_on_from_epoch_to_epoch():
    gather = GradientAccumulation(32)
    counts = []

    class Counts(Callback):
        def after_epoch(self):
            counts.append(gather.count)

    learn = fit(linear(batches([16] * 3)), 2, [gather, Counts()])
    assert counts == [16, 0]
    assert learn.opt.steps == 3


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_is_left_at_the_end_of_a_fit_is_dropped(interrupted):
    class Interrupts(Callback):
        def after_batch(self):
            if interrupted and self.training and self.iter == 2:
                raise KeyboardInterrupt

    gather = GradientAccumulation(32)
    learn = linear(batches([16] * 3))
    try:
        fit(learn, cbs=[gather, Interrupts()])
    except KeyboardInterrupt:
        assert interrupted
    assert gather.count == 0
    assert all(p.grad is None for p in learn.model.parameters())
    fresh = linear(batches([16] * 3))
    fresh.model.load_state_dict(learn.model.state_dict())
    fit(learn, reset_opt=True)
    assert same(weights(learn), weights(fit(fresh)))


def test_a_batch_larger_than_n_acc_is_warned_of_once_a_fit():
    message = r"a batch has 16, more than n_acc = 4: every batch is a step of 4 times its mean"
    with pytest.warns(UserWarning, match=message) as caught:
        learn = fit(linear(batches([16] * 3)), cbs=GradientAccumulation(4))
    assert len(caught) == 1
    assert learn.opt.steps == 3


def test_validation_batches_are_not_gathered():
    learn = linear(batches([16] * 2), batches([64]))
    fit(learn, cbs=GradientAccumulation(32))
    assert learn.opt.steps == 1


def test_a_fit_begins_to_count():
    gather = GradientAccumulation(32)
    gather.load_state_dict({"n_acc": 32, "count": 16, "stepped": False})
    learn = fit(linear(batches([16] * 3)), cbs=gather)
    assert learn.opt.steps == 1


def test_a_fit_that_never_gathers_enough_is_warned_of():
    learn = linear(batches([16] * 3))
    before = weights(learn)
    message = "no step was taken: `n_acc` = 1000 samples were never gathered, the whole fit had 96"
    with pytest.warns(UserWarning, match=message):
        fit(learn, 2, GradientAccumulation(1000))
    assert same(before, weights(learn))


@pytest.mark.parametrize(
    ("n_acc", "error", "message"),
    [(0, ValueError, "`n_acc` must be at least 1"), (1.5, TypeError, "`n_acc` must be an integer")],
)
def test_n_acc_is_checked_at_once(n_acc, error, message):
    with pytest.raises(error, match=message):
        GradientAccumulation(n_acc)


def test_a_sweep_with_accumulation_leaves_nothing():
    gather = GradientAccumulation(48)
    learn = fit(linear(batches([16] * 5), cbs=gather))
    before, state = weights(learn), gather.state_dict()
    learn.lr_find(num_it=20, show_plot=False)
    assert same(before, weights(learn))
    assert gather.state_dict() == state
    assert all(p.grad is None for p in learn.model.parameters())


class CrashError(Exception):
    pass


class CrashIn(Callback):
    def __init__(self, epoch, batch):
        self.at = (epoch, batch)

    def before_batch(self):
        if self.training and (self.epoch, self.iter) == self.at:
            raise CrashError


def cut_and_whole(folder, make, at, n_epoch=3, **kwargs):
    """Return a learner that was resumed after a crash, and one that was not."""
    learners = []
    for crash in (at, None):
        place = folder / str(crash)
        learn = linear(batches([16] * 5), path=place)
        cbs = [*make(), CheckpointCallback(every_steps=1, every_epochs=1)]
        if crash is not None:
            with pytest.raises(CrashError):
                fit(learn, n_epoch, [*cbs, CrashIn(*crash)], **kwargs)
            learn = linear(batches([16] * 5), path=place, seed=2)
            cbs = [*make(), CheckpointCallback(every_steps=1, every_epochs=1)]
            with learn.no_logging():
                learn.resume(place / "models" / "checkpoints", cbs=cbs)
        else:
            fit(learn, n_epoch, cbs, **kwargs)
        learners.append((learn, cbs))
    return learners


@pytest.mark.parametrize("at", [(0, 1), (0, 2), (1, 0), (1, 3), (2, 4)])
@pytest.mark.parametrize("method", ["fit", "fit_one_cycle"])
def test_a_run_resumed_inside_an_accumulation_is_the_uninterrupted_one(method, at, tmp_path):
    cut, whole = cut_and_whole(tmp_path, lambda: [GradientAccumulation(48)], at, method=method)
    assert same(weights(cut[0]), weights(whole[0]))
    assert cut[0].recorder.lrs == whole[0].recorder.lrs
    assert cut[0].recorder.raw_losses == whole[0].recorder.raw_losses


def test_a_state_of_another_n_acc_is_refused():
    message = "`gradient_accumulation` was saved with n_acc=32, not 64"
    with pytest.raises(ValueError, match=message):
        GradientAccumulation(64).load_state_dict(GradientAccumulation(32).state_dict())


# Clipping.


class Norms(Callback):
    """Notes the norm of the gradients before and after clipping."""

    def __init__(self, order, norm_type=2.0):
        self.order, self.norm_type = order, norm_type
        self.seen = []

    def before_step(self):
        grads = torch.cat([p.grad.flatten() for p in self.learn.model.parameters()])
        self.seen.append(grads.norm(self.norm_type).item())

    @property
    def name(self):
        return f"norms{self.order}".replace(".", "_")


@pytest.mark.parametrize("norm_type", [2.0, 1, math.inf])
def test_gradients_are_clipped_to_the_norm(norm_type):
    before, after = Norms(10.5, norm_type), Norms(12, norm_type)
    clip = GradientClip(1.5, norm_type)
    fit(linear(batches([16] * 5), lr=0.2), 2, [before, clip, after])
    assert min(before.seen) < 1.5 < max(before.seen)
    assert after.seen == pytest.approx([min(norm, 1.5) for norm in before.seen], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_norm": 0}, "`max_norm` must be a finite number above 0, got 0"),
        ({"max_norm": math.inf}, "`max_norm`"),
        ({"norm_type": 0}, "`norm_type` must be above 0, got 0"),
        ({"norm_type": math.nan}, "`norm_type`"),
    ],
)
def test_settings_of_clipping_are_checked_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientClip(**arguments)


def test_the_gradients_of_a_whole_step_are_clipped():
    clipped = Norms(12)
    learn = linear(batches([16] * 4))
    mixed = MixedPrecision("fp16", init_scale=256.0)
    fit(learn, cbs=[mixed, GradientAccumulation(32), GradientClip(0.1), clipped])
    # Of the loss itself, not of the scaled one.
    assert clipped.seen == pytest.approx([0.1, 0.1], rel=1e-3)


# Half precision.


def half(device="cpu"):
    return torch.is_autocast_enabled(device)


class Types(Callback):
    """Notes the types that a batch goes through."""

    order = 1000

    def __init__(self):
        self.seen = {}

    def after_create(self):
        def look(module, inputs, output):
            self.seen["output", self.learn.training] = output.dtype

        self.learn.model.register_forward_hook(look)

    def after_pred(self):
        self.seen["pred", self.training] = self.pred.dtype

    def after_loss(self):
        self.seen["loss"] = self.loss.dtype
        assert not half(self.dls.device.type)

    def before_step(self):
        self.seen["gradient"] = self.model.weight.grad.dtype
        self.seen["weight"] = self.model.weight.dtype


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(
    ("mode", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), (None, None)]
)
def test_model_and_loss_run_in_half_precision_and_the_rest_does_not(mode, dtype, device):
    types = Types()
    mixed = MixedPrecision(mode)
    learn = linear(batches([16] * 10), device=device, cbs=[mixed, types])
    types.after_create()
    fit(learn, 3)
    dtype = dtype or {"cpu": torch.bfloat16, "cuda": torch.float16}[device]
    assert mixed.dtype == dtype
    outputs = {key: types.seen.pop(key) for key in list(types.seen) if key[0] == "output"}
    assert outputs == {("output", True): dtype, ("output", False): dtype}
    assert set(types.seen.values()) == {torch.float32}
    assert (mixed.scaler is not None) == (dtype == torch.float16)
    assert learn.recorder.raw_losses[-1] < learn.recorder.raw_losses[0] / 2
    assert not half(device)
    assert learn.opt.scaler is None


def test_training_in_half_precision_is_close_to_training_without():
    plain = fit(linear(batches([16] * 10)), 2)
    for callback in (MixedPrecision("fp16", init_scale=256.0), MixedPrecision("bf16")):
        mixed = fit(linear(batches([16] * 10), cbs=callback), 2)
        assert close(weights(mixed), weights(plain), rtol=2e-2)
        assert mixed.recorder.raw_losses == pytest.approx(plain.recorder.raw_losses, rel=5e-2)


EVERY = ["before_batch", "after_pred", "after_loss", "before_backward", "before_step"]
CANCELS = ["Batch", "Train", "Valid", "Epoch", "Fit"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("event", EVERY[:3])
@pytest.mark.parametrize("kind", CANCELS)
def test_half_precision_is_left_when_a_batch_is_cancelled(kind, event, training):
    if kind == ("Valid" if training else "Train"):
        return
    after = []

    class Cancels(Callback):
        order = 20

        def __call__(self, name):
            if name == event and self.learn.training == training and self.learn.iter == 1:
                raise getattr(lehr, f"Cancel{kind}Exception")
            if "after_cancel" in name or name in ("before_epoch", "after_batch", "after_fit"):
                after.append(half())

    learn = linear(batches([16] * 3), batches([16] * 3), cbs=[MixedPrecision("bf16"), Cancels()])
    fit(learn, 2)
    assert len(after) > 3
    assert not any(after)
    assert not half()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("where", [*EVERY, "forward"])
def test_half_precision_is_left_when_a_batch_fails(where, error):
    class Fails(Callback):
        order = 20

        def __call__(self, name):
            if name == where:
                raise error

    learn = linear(batches([16] * 3), cbs=[MixedPrecision("fp16"), Fails()])
    if where == "forward":

        def fail(*_):
            assert half()
            raise error

        learn.model.register_forward_pre_hook(fail)
    with pytest.raises(error):
        fit(learn)
    assert not half()
    assert learn.opt.scaler is None


def test_validation_alone_runs_in_half_precision_as_well():
    types = Types()
    learn = linear(batches([16] * 3), cbs=[MixedPrecision("bf16"), types])
    types.after_create()
    learn.validate()
    assert types.seen["output", False] == torch.bfloat16
    assert not half()


def test_a_validation_that_fails_does_no_harm_to_the_fit_after_it():
    learn = linear(batches([16] * 3), cbs=MixedPrecision("bf16"))
    hook = learn.model.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        learn.validate()
    hook.remove()
    fit(learn)
    assert not half()


@pytest.mark.parametrize("kind", [tuple, list, dict, "own"])
def test_predictions_of_every_kind_pass(kind):
    class Net(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            index = torch.zeros(1, dtype=torch.int64)
            if kind is dict:
                return {"y": y, "index": index}
            return [y, index] if kind is list else (y, index) if kind is tuple else Own(y)

    class Own:
        def __init__(self, y):
            self.loss = (y**2).mean()

    def loss(pred, target):
        y = pred["y"] if kind is dict else pred[0]
        assert y.dtype == torch.float32
        assert pred["index" if kind is dict else 1].dtype == torch.int64
        return nn.functional.mse_loss(y, target)

    data = DataLoaders(batches([16] * 3), batches([4]), device="cpu")
    loss_func = None if kind == "own" else loss
    if kind == "own":
        data = DataLoaders(
            [(x,) for x, _ in batches([16] * 3)], [(torch.ones(4, 2),)], device="cpu"
        )
    learn = lehr.Learner(data, Net(2, 1), loss_func, cbs=MixedPrecision("bf16"))
    fit(learn)
    assert len(learn.recorder.raw_losses) == 3


def test_predictions_of_other_types_stay_as_they_are():
    class Double(nn.Linear):
        def forward(self, x):
            return super().forward(x).double()

    types = Types()
    torch.manual_seed(0)
    data = DataLoaders(batches([16]), batches([4]), device="cpu")
    learn = synth_learner(data=data, model=Double(2, 1), cbs=[MixedPrecision("bf16"), types])
    learn.loss_func = lambda pred, y: nn.functional.mse_loss(pred, y.double())
    fit(learn)
    assert types.seen["pred", True] == torch.float64


# The scaler.


class Scales(Callback):
    """Notes the scale, and the steps that were cancelled and taken."""

    order = 1000

    def __init__(self, mixed):
        self.mixed = mixed
        self.scales, self.cancelled, self.moved = [], [], []

    def before_batch(self):
        if self.training:
            self.before = weights(self.learn)
            self.cancelled.append(False)

    def after_cancel_step(self):
        self.cancelled[-1] = True

    def after_batch(self):
        if self.training:
            self.moved.append(not same(self.before, weights(self.learn)))
            self.scales.append(self.mixed.scaler.get_scale())


def test_a_step_with_infinite_gradients_is_skipped_and_the_scale_halves():
    mixed = MixedPrecision("fp16", init_scale=2.0**20)
    scales = Scales(mixed)
    learn = fit(linear(batches([16] * 10)), 1, [mixed, scales])
    skipped = sum(scales.cancelled)
    assert 1 <= skipped < 9
    assert scales.cancelled == [True] * skipped + [False] * (10 - skipped)
    assert scales.moved == [not one for one in scales.cancelled]
    assert scales.scales == [2.0 ** (20 - min(k + 1, skipped)) for k in range(10)]
    assert learn.opt.steps == 10 - skipped
    # What was recorded is the loss itself.
    plain = fit(linear(batches([16] * 10), lr=0))
    assert learn.recorder.raw_losses[0] == pytest.approx(plain.recorder.raw_losses[0], rel=1e-2)


def test_gradients_are_those_of_the_loss_when_a_step_begins():
    seen = []

    class Look(Callback):
        order = 10.5

        def before_step(self):
            seen.append([p.grad.clone() for p in self.learn.model.parameters()])

    fit(linear(batches([16])), cbs=Look())
    fit(linear(batches([16])), cbs=[MixedPrecision("fp16", init_scale=256.0), Look()])
    assert close(seen[0], seen[1], rtol=1e-2)


def test_the_scale_is_kept_from_fit_to_fit():
    mixed = MixedPrecision("fp16", init_scale=2.0, growth_interval=1)
    learn = linear(batches([16] * 3), cbs=mixed)
    fit(learn)
    assert mixed.scaler.get_scale() == 2.0 * 2**3
    fit(learn)
    assert mixed.scaler.get_scale() == 2.0 * 2**6


def test_with_accumulation_the_scale_changes_with_the_steps_alone():
    mixed = MixedPrecision("fp16", init_scale=2.0, growth_interval=1)
    scales = Scales(mixed)
    every = batches([16] * 6)
    learn = fit(linear(every), cbs=[mixed, GradientAccumulation(48), scales])
    assert scales.scales == [2.0, 2.0, 4.0, 4.0, 4.0, 8.0]
    assert learn.opt.steps == 2
    plain = fit(linear(every), cbs=GradientAccumulation(48))
    assert close(weights(learn), weights(plain), rtol=1e-2)


@pytest.mark.parametrize("kind", ["Batch", "Step", "Train"])
def test_a_step_cancelled_after_unscaling_does_no_harm(kind):
    class Cancels(Callback):
        order = 20

        def before_step(self):
            if self.iter == 1:
                raise getattr(lehr, f"Cancel{kind}Exception")

    learn = linear(batches([16] * 4))
    fit(learn, 2, [MixedPrecision("fp16", init_scale=256.0), Cancels()])
    assert learn.opt.steps == {"Batch": 6, "Step": 6, "Train": 2}[kind]


def test_a_step_without_gradients_is_cancelled():
    class NoBackward(Callback):
        order = 20

        def before_backward(self):
            raise lehr.CancelBackwardException

    learn = linear(batches([16] * 3))
    log = Log()
    fit(learn, cbs=[MixedPrecision("fp16"), NoBackward(), log])
    assert learn.opt.steps == 0
    assert log.seen.count("after_cancel_step") == 3


def test_a_sweep_leaves_the_scale_as_it_was():
    mixed = MixedPrecision("fp16", init_scale=4.0, growth_interval=1)
    learn = linear(batches([16] * 5), cbs=mixed)
    learn.lr_find(num_it=10, show_plot=False)
    assert mixed.state_dict() == {"dtype": "torch.float16", "scaler": None}
    fit(learn)
    state, before = mixed.state_dict(), weights(learn)
    assert state["scaler"]["scale"] == 4.0 * 2**5
    learn.lr_find(num_it=10, show_plot=False)
    assert mixed.state_dict() == state
    assert same(before, weights(learn))
    assert learn.opt.scaler is None
    assert not half()


def test_a_sweep_interrupted_before_its_step_leaves_the_scale_as_it_was():
    class Interrupts(Callback):
        order = 20

        def before_step(self):
            if self.train_iter == 4:
                raise KeyboardInterrupt

    mixed = MixedPrecision("fp16", init_scale=4.0, growth_interval=1)
    learn = fit(linear(batches([16] * 3), cbs=mixed))
    state = mixed.state_dict()
    with learn.added_cbs(Interrupts()), pytest.raises(KeyboardInterrupt):
        learn.lr_find(num_it=10, show_plot=False)
    assert mixed.state_dict() == state
    fit(learn)
    assert mixed.scaler.get_scale() == 4.0 * 2**6


@pytest.mark.parametrize("at", [(0, 2), (1, 0), (2, 4)])
def test_a_resumed_run_in_half_precision_is_the_uninterrupted_one(at, tmp_path):
    def make():
        return [
            MixedPrecision("fp16", init_scale=2.0**18, growth_interval=3),
            GradientAccumulation(32),
            GradientClip(0.5),
        ]

    cut, whole = cut_and_whole(tmp_path, make, at, method="fit_one_cycle")
    assert same(weights(cut[0]), weights(whole[0]))
    assert cut[0].recorder.lrs == whole[0].recorder.lrs
    assert cut[1][0].state_dict() == whole[1][0].state_dict()


def test_a_state_of_another_precision_is_refused():
    learn = linear(batches([16]), cbs=MixedPrecision("fp16"))
    state = fit(learn).mixed_precision.state_dict()
    other = linear(batches([16]), cbs=MixedPrecision("bf16")).mixed_precision
    message = "`mixed_precision` was saved with torch.float16, not torch.bfloat16"
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    # Its own comes back, also before the first fit.
    again = linear(batches([16]), cbs=MixedPrecision("fp16", init_scale=3.0)).mixed_precision
    again.load_state_dict(state)
    assert again.state_dict() == state


def test_settings_of_mixed_precision_are_checked_before_training():
    with pytest.raises(ValueError, match=r"`amp_mode` must be one of \['fp16', 'bf16'\] or None"):
        MixedPrecision("fp8")
    message = r"torch.bfloat16 takes no scaler, got settings of one: \['init_scale'\]"
    with pytest.raises(ValueError, match=message):
        MixedPrecision("bf16", init_scale=2.0)
    learn = linear(batches([16]))
    before = weights(learn)
    with pytest.raises(ValueError, match=message):
        fit(learn, cbs=MixedPrecision(init_scale=2.0))
    with pytest.raises(TypeError, match="init_scales"):
        fit(learn, cbs=MixedPrecision("fp16", init_scales=2.0))
    assert same(before, weights(learn))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_fused_optimizer_skips_and_counts_on_cuda():
    mixed = MixedPrecision("fp16", init_scale=2.0**20)
    scales = Scales(mixed)
    learn = linear(batches([16] * 10), device="cuda")
    learn.opt_func = lambda groups, **kw: torch.optim.AdamW(groups, fused=True, **kw)
    fit(learn, 1, [mixed, scales])
    assert learn.opt.steps == 10 - sum(scales.cancelled)
    assert scales.moved == [not one for one in scales.cancelled]


def test_a_validation_that_raises_leaves_no_autocast_on():
    def wrong(pred, target):
        raise ZeroDivisionError

    learn = synth_learner(cbs=MixedPrecision("bf16"), metrics=wrong)
    with pytest.raises(ZeroDivisionError):
        learn.validate()
    assert not torch.is_autocast_enabled("cpu")
