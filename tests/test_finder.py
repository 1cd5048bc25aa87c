"""What a Finder and `lr_find` sweep: values, groups, batches, losses, and what they refuse."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lehr import DataLoaders, Finder, Learner, Sweep, lr_find
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

mse = nn.functional.mse_loss


def groups(*rates, make=torch.optim.SGD, **options):
    """An optimizer with a parameter of its own for each rate."""
    made = [{"params": [nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates]
    return made, make(made, **({"lr": 1.0} | options))


def swept(optimizer, name="lr", model=None, **options):
    """Sweep without training; return the curve, and each group's value in each iteration."""
    seen = []
    optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
    options = {"stop_div": False} | options
    with Finder(model or nn.Linear(1, 1), optimizer, hyper=name, **options) as finder:
        for _ in finder:
            seen.append([read(group, name) for one in optimizers for group in one.param_groups])
            finder.record(1.0)
    return finder.sweep, seen


def read(group, name):
    return group["betas"][0] if name == "betas[0]" else group[name]


def test_rates_go_up_by_equal_ratios_from_start_on_and_end_is_that_of_iteration_num_it():
    _, optimizer = groups(0.1)
    sweep, seen = swept(optimizer, start=1e-4, end=1, num_it=4)
    assert sweep.lrs == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1], rel=1e-15)
    assert [value for (value,) in seen] == sweep.lrs.tolist()
    assert (sweep.hyper, sweep.stop, sweep.num_it) == ("lr", "finished", 4)
    assert dict(sweep.settings) == {
        "start": 1e-4, "end": 1.0, "spacing": "exp", "stop_div": False, "ratios": (1.0,),
    }  # fmt: skip


def test_the_rate_is_swept_from_1e_7_to_10_in_100_iterations_by_default():
    _, optimizer = groups(0.1)
    sweep, _ = swept(optimizer)
    assert len(sweep) == 100
    assert sweep.lrs[[0, -1]] == pytest.approx([1e-7, 1e-7 * 1e8**0.99], rel=1e-14)


def test_linear_spacing_has_equal_differences_and_may_begin_at_0():
    _, optimizer = groups(0.1, weight_decay=0.1)
    sweep, _ = swept(optimizer, "weight_decay", start=0, end=1, num_it=4, spacing="linear")
    assert sweep.lrs.tolist() == [0, 0.25, 0.5, 0.75]
    assert sweep.settings["spacing"] == "linear"


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, iter])
def test_given_values_are_tried_as_they_are(kind):
    values = [0.0, 1e-3, 0.7, 1e-2, 1 / 3, 0.1, 0.2]
    if kind is torch.tensor:
        kind = lambda given: torch.tensor(given, dtype=torch.float64)
    _, optimizer = groups(0.1, momentum=0.5)
    sweep, seen = swept(optimizer, "momentum", values=kind(values))
    assert sweep.lrs.tolist() == values
    assert [value for (value,) in seen] == values
    assert sweep.num_it == len(values)


@pytest.mark.parametrize("n", [1, 3, 100, 777])
def test_every_given_value_has_its_iteration_however_many_there_are(n):
    values = [random.Random(n).random() for _ in range(n)]
    _, optimizer = groups(0.1)
    _, seen = swept(optimizer, values=values)
    assert [value for (value,) in seen] == values


def test_groups_keep_the_ratios_of_their_values_to_the_largest():
    _, optimizer = groups(1e-4, 1e-3, 0.0, 5e-4)
    sweep, seen = swept(optimizer, start=1e-3, end=1, num_it=3)
    for row, value in zip(seen, sweep.lrs, strict=True):
        assert row == pytest.approx([value / 10, value, 0, value / 2], rel=1e-15)
        assert row[1] == value
    assert sweep.settings["ratios"] == pytest.approx((0.1, 1, 0, 0.5))


def test_groups_without_decay_stay_without_it():
    _, optimizer = groups(0.1, 0.1, make=torch.optim.AdamW, weight_decay=0.01)
    optimizer.param_groups[1]["weight_decay"] = 0.0
    sweep, seen = swept(optimizer, "weight_decay", start=1e-4, end=1, num_it=3)
    assert seen == [[value, 0.0] for value in sweep.lrs.tolist()]


def test_all_groups_get_the_value_without_ratios_and_where_all_are_0():
    _, optimizer = groups(1e-4, 1e-3)
    sweep, seen = swept(optimizer, num_it=3, keep_ratios=False)
    assert seen == [[value, value] for value in sweep.lrs.tolist()]
    sweep, seen = swept(optimizer, "weight_decay", start=1e-3, end=1, num_it=3)
    assert seen == [[value, value] for value in sweep.lrs.tolist()]


def test_ratios_in_a_warmup_that_begins_at_0_are_those_of_the_initial_rates():
    _, optimizer = groups(1e-3, 1e-2)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0, 0]
    sweep, seen = swept(optimizer, num_it=3)
    assert [second for _, second in seen] == sweep.lrs.tolist()
    assert sweep.settings["ratios"] == pytest.approx((0.1, 1))
    assert [group["lr"] for group in optimizer.param_groups] == [0, 0]


def test_a_start_and_an_end_per_group_set_them_apart_over_several_optimizers():
    (_, first), (_, second) = groups(0.1, 0.1), groups(0.1)
    ends = {"start": [1e-3, 1e-2, 1e-4], "end": [1.0, 1.0, 1e-1]}
    sweep, seen = swept([first, second], num_it=3, **ends)
    assert seen[0] == [1e-3, 1e-2, 1e-4]
    assert seen[1] == pytest.approx([1e-2, 10 ** (-2 + 2 / 3), 1e-3], rel=1e-14)
    assert sweep.lrs.tolist() == [row[2] for row in seen]
    assert sweep.settings["start"] == (1e-3, 1e-2, 1e-4)


def test_a_path_into_a_tuple_and_names_that_fit_every_optimizer_are_swept():
    (_, adam), (_, sgd) = groups(0.1, make=torch.optim.Adam), groups(0.1, momentum=0.45)
    sweep, seen = swept(adam, "betas[0]", start=0.1, end=0.9, spacing="linear", num_it=4)
    assert [value for (value,) in seen] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert adam.param_groups[0]["betas"] == (0.9, 0.999)
    rows = []
    with Finder(nn.Linear(1, 1), [adam, sgd], hyper="mom", values=[0.5, 0.8]) as finder:
        for _ in finder:
            rows.append([adam.param_groups[0]["betas"][0], sgd.param_groups[0]["momentum"]])
            finder.record(0)
    assert rows == [pytest.approx([0.5, 0.25]), pytest.approx([0.8, 0.4])]
    assert sweep.hyper == "betas[0]"


def test_a_tensor_rate_is_filled_in_place_and_shared_tensors_come_back():
    rate = torch.tensor(0.1)
    params = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = torch.optim.AdamW([{"params": [p]} for p in params], lr=rate)
    held = [group["lr"] for group in optimizer.param_groups]
    sweep, seen = swept(optimizer, start=1e-3, end=1, num_it=3)
    # The tensors themselves are seen, as they are now.
    assert all(one is rate for row in seen for one, rate in zip(row, held, strict=True))
    assert len(sweep) == 3
    assert all(a["lr"] is b for a, b in zip(optimizer.param_groups, held, strict=True))
    assert float(rate) == pytest.approx(0.1)


WRONG = [
    ({"hyper": "speed"}, ValueError, "`start` and `end`, or `values`, must be given to sweep"),
    ({"hyper": "speed", "values": [1]}, KeyError, "`speed` is not a hyper-parameter"),
    ({"hyper": "nesterov", "values": [1]}, TypeError, "no number to schedule"),
    ({"hyper": 3}, TypeError, "`hyper` must be a name"),
    ({"spacing": "log"}, ValueError, '`spacing` must be "exp" or "linear"'),
    ({"values": []}, ValueError, "`values` must be finite numbers, at least one"),
    ({"values": [1, math.nan]}, ValueError, "`values` must be finite numbers"),
    ({"values": [[1, 2]]}, ValueError, "`values` must be finite numbers"),
    ({"values": ["a"]}, TypeError, "`values` must be numbers"),
    ({"values": [1], "start": 1}, ValueError, "`values` must be given without"),
    ({"values": [1, 2], "num_it": 3}, ValueError, "`num_it` must be the number of `values`, 2"),
    ({"values": [-1]}, ValueError, "`lr` must be at least 0, got -1.0 in the sweep"),
    ({"num_it": 0}, ValueError, "`num_it` must be at least 1, got 0"),
    ({"start": [1, 2, 3]}, ValueError, "`start` must be one number or 1"),
    ({"loader": 3}, TypeError, "`loader` must be an iterable of batches, got 3"),
    ({"model": 3}, TypeError, "`model` must be a torch module"),
    ({"optimizer": 3}, TypeError, "`optimizer` must be a torch optimizer"),
    ({"optimizer": []}, ValueError, "`optimizer` must be at least one"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_a_wrong_argument_is_named_at_once(options, error, message):
    given = {"model": nn.Linear(1, 1), "optimizer": groups(0.1)[1]} | options
    with pytest.raises(error, match=message):
        Finder(given.pop("model"), given.pop("optimizer"), **given)


def test_betas_of_1_and_ratios_of_a_negative_value_are_refused():
    _, adam = groups(0.1, make=torch.optim.Adam)
    with pytest.raises(ValueError, match="below 1, got 1.0 in the sweep"):
        Finder(nn.Linear(1, 1), adam, hyper="betas[0]", values=[0.5, 1.0])
    adam.param_groups[0]["extra"] = -1.0
    with pytest.raises(ValueError, match=r"in every group .* got -1.0 in group 0"):
        Finder(nn.Linear(1, 1), adam, hyper="extra", values=[1.0])


def test_a_loader_begins_again_when_it_ends():
    _, optimizer = groups(0.1)
    with Finder(nn.Linear(1, 1), optimizer, "abc", num_it=7, stop_div=False) as finder:
        drawn = []
        for batch in finder:
            drawn.append(batch)
            finder.record(1)
    assert "".join(drawn) == "abcabca"


def test_without_a_loader_every_iteration_gets_none():
    _, optimizer = groups(0.1)
    with Finder(nn.Linear(1, 1), optimizer, num_it=2) as finder:
        for batch in finder:
            assert batch is None
            with pytest.raises(RuntimeError, match="the Finder has no loader"):
                finder.batch()
            finder.record(1)


def broken(loader, **options):
    _, optimizer = groups(0.1)
    with Finder(nn.Linear(1, 1), optimizer, loader, **options) as finder:
        for _ in finder:
            finder.record(1)
    return finder


def test_an_iterator_that_ends_and_a_loader_without_batches_are_clear_errors():
    with pytest.raises(ValueError, match="`loader` ended after 3 batches and cannot be iterated"):
        broken(iter("abc"))
    with pytest.raises(ValueError, match="`loader` must hold at least one batch, got none"):
        broken([])
    assert len(broken(iter("abc"), num_it=3).sweep) == 3


def test_an_iterator_goes_on_after_the_sweep_where_it_was_left():
    letters = (letter for letter in "abcdef")
    broken(letters, num_it=3)
    assert "".join(letters) == "def"


def test_a_further_batch_comes_from_the_same_loader():
    _, optimizer = groups(0.1)
    with Finder(nn.Linear(1, 1), optimizer, "abc", num_it=3, stop_div=False) as finder:
        with pytest.raises(RuntimeError, match="no iteration under way"):
            finder.batch()
        pairs = []
        for batch in finder:
            pairs.append(batch + finder.batch())
            finder.record(1)
    assert pairs == ["ab", "ca", "bc"]


def test_a_loss_is_recorded_once_an_iteration_inside_the_block():
    _, optimizer = groups(0.1)
    finder = Finder(nn.Linear(1, 1), optimizer, num_it=4)
    with pytest.raises(RuntimeError, match="inside its `with` block, this is before it"):
        next(finder)
    with pytest.raises(RuntimeError, match="this is before it"):
        finder.record(1)
    with finder:
        with pytest.raises(RuntimeError, match="none is under way"):
            finder.record(1)
        next(finder)
        finder.record(torch.tensor([2.0], requires_grad=True))
        with pytest.raises(RuntimeError, match="none is under way"):
            finder.record(1)
        next(finder)
        with pytest.raises(
            RuntimeError, match="once in every iteration, it was not in iteration 1"
        ):
            next(finder)
        for wrong in (None, "1.0", torch.ones(2)):
            with pytest.raises(TypeError, match="the loss of a step must be one number"):
                finder.record(wrong)
        finder.record(np.float32(3))
    assert finder.sweep.losses.tolist() == [2, 3]
    assert finder.sweep.stop == "interrupted"
    with pytest.raises(RuntimeError, match="this is after it"):
        finder.record(1)
    with pytest.raises(RuntimeError, match="sweeps once"), finder:
        pass


def test_a_loop_that_is_left_early_gives_the_curve_so_far():
    _, optimizer = groups(0.1)
    with Finder(nn.Linear(1, 1), optimizer, num_it=10) as finder:
        for _ in finder:
            if len(finder.sweep) == 4:
                break
            finder.record(1)
    assert (len(finder.sweep), finder.sweep.num_it, finder.sweep.stop) == (4, 10, "interrupted")
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_loop_ends_by_itself_when_the_loss_diverges_or_is_not_finite():
    _, optimizer = groups(0.1)
    for losses, stop in (([1.0] * 50 + [1e6] * 50, "diverged"), ([math.nan] * 9, "non-finite")):
        with Finder(nn.Linear(1, 1), optimizer, losses, num_it=100) as finder:
            for loss in finder:
                finder.record(loss)
        assert finder.sweep.stop == stop
        assert len(finder.sweep) == (51 if stop == "diverged" else 2)


def test_settings_are_added_to_those_of_the_curve():
    _, optimizer = groups(0.1)
    sweep, _ = swept(optimizer, num_it=2, settings={"model": "tiny"})
    assert sweep.settings["model"] == "tiny"


# The plain case.


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))

    def forward(self, x):
        return self.body(x)


def samples(n=64):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(1))
    return x, x.sum(1, keepdim=True)


def batches():
    return list(zip(*(part.split(16) for part in samples()), strict=True))


def setup():
    model = Net()
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


ENDS = {"start": 1e-4, "end": 1.0, "num_it": 10, "stop_div": False}


def by_hand(loss_of, given, accumulate=1):
    """The losses of a sweep written out: each before its step."""
    model, optimizer = setup()
    model.train()
    torch.manual_seed(5)
    losses, place = [], 0
    for iteration in range(ENDS["num_it"]):
        optimizer.param_groups[0]["lr"] = 1e-4 * 1e4 ** (iteration / 10)
        optimizer.zero_grad()
        total = 0.0
        for _ in range(accumulate):
            loss = loss_of(model, given[place % len(given)])
            (loss / accumulate).backward()
            total += loss.item()
            place += 1
        optimizer.step()
        losses.append(total / accumulate)
    return losses


def plain_loss(model, batch):
    return mse(model(batch[0]), batch[1])


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_lr_find_is_the_loop_one_would_write(accumulate):
    model, optimizer = setup()
    model.eval()
    sweep = lr_find(model, optimizer, batches(), mse, seed=5, accumulate=accumulate, **ENDS)
    # The rates of the loop by hand differ in the last bit.
    assert sweep.losses == pytest.approx(by_hand(plain_loss, batches(), accumulate), rel=1e-5)
    assert (sweep.settings["criterion"], sweep.settings["seed"]) == ("training loss", 5)
    assert not model.training


def test_lr_find_gives_the_curve_of_the_learner():
    model, optimizer = setup()
    sweep = lr_find(model, optimizer, batches(), mse, seed=3, **ENDS)
    other, _ = setup()
    learn = Learner(
        DataLoaders(batches(), device="cpu"), other, mse,
        lambda params, **options: torch.optim.SGD(params, lr=0.1, momentum=0.9), wd_bn_bias=True,
    )  # fmt: skip
    learn.create_opt()
    learn.opt.set_hyper("mom", 0.9)
    torch.manual_seed(3)
    learn.lr_find(1e-4, 1.0, 10, stop_div=False, show_plot=False, suggest_funcs=None)
    assert sweep.lrs.tolist() == learn.recorder.sweep.lrs.tolist()
    assert sweep.losses == pytest.approx(learn.recorder.sweep.losses, rel=1e-5)


class OwnLoss(nn.Module):
    """Takes a batch of one kind, and gives its loss in another."""

    def __init__(self, gives):
        super().__init__()
        self.net, self.gives = Net(), gives

    def forward(self, x, labels=None):
        if labels is None:
            x, labels = x.x, x.labels
        return self.gives(mse(self.net(x), labels))


class Custom:
    """A batch that is no tuple and no mapping."""

    def __init__(self, x, labels):
        self.x, self.labels = x, labels

    def to(self, device):
        return Custom(self.x.to(device), self.labels.to(device))


@pytest.mark.parametrize("pack", [lambda x, y: {"x": x, "labels": y}, Custom])
@pytest.mark.parametrize(
    "gives",
    [lambda loss: loss, lambda loss: {"loss": loss}, lambda loss: SimpleNamespace(loss=loss)],
)
def test_dictionaries_and_custom_batches_and_every_kind_of_own_loss_are_read(pack, gives):
    model = OwnLoss(gives)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    given = [pack(*batch) for batch in batches()]
    sweep = lr_find(model, optimizer, given, seed=5, **ENDS)
    assert sweep.losses == pytest.approx(by_hand(plain_loss, batches()), rel=1e-5)


def test_tuples_of_several_inputs_are_read():
    class Two(Net):
        def forward(self, a, b):
            return self.body(torch.cat([a, b], 1))

    torch.manual_seed(0)
    model = Two()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    given = [(x[:, :1], x[:, 1:], y) for x, y in batches()]
    sweep = lr_find(model, optimizer, given, mse, seed=5, **ENDS)
    assert sweep.losses == pytest.approx(by_hand(plain_loss, batches()), rel=1e-5)


def test_the_parameters_of_a_loss_function_are_restored_too():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, pred, y):
            return self.weight.exp() * mse(pred, y) - self.weight

    model, loss_func = Net(), Weighted()
    optimizer = torch.optim.SGD([*model.parameters(), *loss_func.parameters()], lr=0.1)
    lr_find(model, optimizer, batches(), loss_func, **ENDS)
    assert loss_func.weight.item() == 1


def test_validation_losses_are_those_after_each_step_in_evaluation_mode():
    x, y = samples(50)
    # The last batch is smaller: each sample counts once.
    valid = DataLoader(TensorDataset(x, y), 16, shuffle=True)
    model, optimizer = setup()
    sweep = lr_find(model, optimizer, batches(), mse, valid=valid, seed=5, **ENDS)
    assert sweep.settings["criterion"] == "validation loss"

    seen = []

    def watch(model, batch):
        if seen:
            model.eval()
            with torch.no_grad():
                seen[-1] = mse(model(x), y).item()
            model.train()
        seen.append(None)
        return plain_loss(model, batch)

    by_hand(watch, batches())
    # What the hand-written loop saw before step i + 1 is what was so after step i.
    assert sweep.losses[:-1] == pytest.approx(seen[:-1], rel=1e-5)


def test_validating_changes_nothing_of_the_training():
    ends = []
    for valid in (None, DataLoader(TensorDataset(*samples(50)), 16, shuffle=True)):
        model, optimizer = setup()
        last = []

        def watch(*_, model=model, last=last):
            last[:] = [p.detach().clone() for p in model.parameters()]

        optimizer.register_step_post_hook(watch)
        loader = DataLoader(TensorDataset(*samples()), 16, shuffle=True)
        lr_find(model, optimizer, loader, mse, valid=valid, seed=1, **ENDS)
        ends.append(last)
    assert all(map(torch.equal, *ends))


def test_repeats_begin_with_the_same_weights_draw_other_batches_and_are_pooled():
    model, optimizer = setup()
    loader = DataLoader(TensorDataset(*samples()), 16, shuffle=True)
    options = {"start": 1e-7, "end": 1e-6, "num_it": 10, "stop_div": False}
    pooled = lr_find(model, optimizer, loader, mse, repeats=3, seed=7, **options)
    parts = [lr_find(model, optimizer, loader, mse, seed=7 + i, **options) for i in range(3)]
    assert pooled.parts == tuple(parts)
    assert pooled == Sweep.pool(parts)
    assert [part.settings["seed"] for part in pooled.parts] == [7, 8, 9]
    assert len({part.losses.tobytes() for part in parts}) == 3
    assert lr_find(model, optimizer, loader, mse, repeats=2, **options).parts == tuple(
        lr_find(model, optimizer, loader, mse, seed=i, **options) for i in range(2)
    )


def test_a_loader_s_own_generator_is_seeded_too():
    model, optimizer = setup()
    curves = []
    for state in (1, 2):
        generator = torch.Generator().manual_seed(state)
        loader = DataLoader(TensorDataset(*samples()), 16, shuffle=True, generator=generator)
        curves.append(lr_find(model, optimizer, loader, mse, seed=0, **ENDS))
        assert generator.initial_seed() == state
    assert curves[0] == curves[1]


PLAIN_WRONG = [
    ({"model": 3}, TypeError, "`model` must be a torch module, got 3"),
    ({"loss_func": 3}, TypeError, "`loss_func` must be a function or None, got 3"),
    ({"repeats": 0}, ValueError, "`repeats` must be at least 1, got 0"),
    ({"accumulate": 1.5}, TypeError, "`accumulate` must be an integer, got 1.5"),
    ({"seed": -1}, ValueError, "`seed` must be at least 0 and below"),
    ({"seed": 2**32 - 1, "repeats": 2}, ValueError, "`seed` must be at least 0 and below"),
    ({"valid": []}, ValueError, "`valid` must hold at least one batch"),
    ({"valid": 3}, TypeError, "`valid` must be an iterable of batches, got 3"),
    ({"loader": [(torch.ones(4, 2),)]}, ValueError, "a batch must hold a target"),
    ({"loss_func": lambda pred, y: pred}, TypeError, "the loss must be a tensor of one number"),
    ({"loss_func": None, "loader": [{"x": torch.ones(4, 2)}]}, TypeError, "of one number"),
    ({"speed": 1}, TypeError, "speed"),
]


@pytest.mark.parametrize(("options", "error", "message"), PLAIN_WRONG)
def test_what_lr_find_cannot_read_is_named_and_changes_nothing(options, error, message):
    model, optimizer = setup()
    before = [p.detach().clone() for p in model.parameters()]
    given = {"model": model, "loader": batches(), "loss_func": mse, "num_it": 3} | options
    with pytest.raises(error, match=message):
        lr_find(given.pop("model"), optimizer, given.pop("loader"), given.pop("loss_func"), **given)
    assert all(map(torch.equal, before, model.parameters()))
    assert model.training


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_optimizer_that_needs_a_closure_is_swept_by_its_first_loss(accumulate):
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    given = batches()
    first = [mse(model(x), y).item() for x, y in given[:accumulate]]
    calls = []

    def loss_func(pred, y):
        calls.append(1)
        return mse(pred, y)

    options = {"values": [0.1, 0.2], "accumulate": accumulate}
    sweep = lr_find(model, optimizer, given, loss_func, **options)
    assert sweep.losses[0] == pytest.approx(np.mean(first), rel=1e-6)
    # Several looks at the batches of a step.
    assert len(calls) > 3 * accumulate
    assert len(optimizer.state[model.weight]) == 0
