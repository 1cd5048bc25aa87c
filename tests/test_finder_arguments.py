"""What a sweep is told: found wrong before it runs, and taken as it is given."""

import inspect

import pytest
import torch
from lehr import Finder, lr_find
from torch import nn

mse = nn.functional.mse_loss


def training():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    x = torch.randn(16, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1), [(x, x.sum(1, keepdim=True))]


WRONG_SETTINGS = [
    ({"note": object()}, TypeError, r"`settings\['note'\]` must be a string"),
    ({"note": float("nan")}, ValueError, r"`settings\['note'\]` must be finite"),
    ({3: 1}, TypeError, "keys of `settings` must be strings, got 3"),
    (3, TypeError, "`settings` must be a mapping, got 3"),
    ({"ratios": 1}, ValueError, r"`settings` must not name what a sweep says .* got \['ratios'\]"),
    ({"start": 1, "end": 2}, ValueError, r"got \['end', 'start'\]"),
    ({"spacing": "exp"}, ValueError, r"got \['spacing'\]"),
    ({"stop_div": True}, ValueError, r"got \['stop_div'\]"),
]


@pytest.mark.parametrize(("settings", "error", "message"), WRONG_SETTINGS)
def test_settings_of_a_finder_that_a_curve_cannot_have_are_refused_when_it_is_made(
    settings, error, message
):
    model, optimizer, _ = training()
    with pytest.raises(error, match=message):
        Finder(model, optimizer, settings=settings)


MORE_WRONG = [
    ({"criterion": "mine"}, ValueError, r"got \['criterion'\]"),
    ({"seed": 1}, ValueError, r"got \['seed'\]"),
]


@pytest.mark.parametrize(("settings", "error", "message"), WRONG_SETTINGS + MORE_WRONG)
def test_settings_of_lr_find_that_a_curve_cannot_have_are_refused_before_a_step(
    settings, error, message
):
    model, optimizer, loader = training()
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    with pytest.raises(error, match=message):
        lr_find(model, optimizer, loader, mse, settings=settings, num_it=2)
    assert not steps


def test_a_finder_s_curve_may_say_which_loss_it_has():
    model, optimizer, _ = training()
    settings = {"criterion": "validation loss", "note": None}
    finder = Finder(model, optimizer, settings=settings)
    assert settings.items() <= dict(finder.sweep.settings).items()


def test_given_values_from_an_iterator_are_tried_in_every_repeat():
    model, optimizer, loader = training()
    values = [1e-3, 1e-2, 1e-1]
    sweep = lr_find(model, optimizer, loader, mse, values=iter(values), repeats=3)
    assert [part.lrs.tolist() for part in sweep.parts] == [values] * 3


def test_extras_and_generators_from_iterators_are_restored_in_every_repeat():
    model, optimizer, loader = training()
    weights, drawer = torch.ones(1), torch.Generator()
    state = drawer.get_state()

    def loss_func(pred, y):
        weights.add_(torch.rand(1, generator=drawer))
        return mse(pred, y)

    options = {"extras": iter([weights]), "generators": iter([drawer]), "repeats": 2}
    lr_find(model, optimizer, loader, loss_func, num_it=2, **options)
    assert weights.item() == 1
    assert torch.equal(drawer.get_state(), state)


def test_every_option_of_a_finder_is_one_of_lr_find_by_name_and_default():
    finder, plain = (inspect.signature(one).parameters for one in (Finder, lr_find))
    assert not any(p.kind is p.VAR_KEYWORD for p in plain.values())
    for name, parameter in finder.items():
        if name != "loader":
            assert plain[name].default == parameter.default
            assert plain[name].annotation == parameter.annotation or name == "model"


def test_an_option_that_lr_find_has_not_is_said_of_lr_find():
    model, optimizer, loader = training()
    with pytest.raises(TypeError, match=r"^lr_find\(\) got an unexpected .* 'start_lr'"):
        lr_find(model, optimizer, loader, mse, start_lr=1e-6)


class Asserting(torch.Tensor):
    """A number on a device that has failed meanwhile."""

    def item(self):
        message = "CUDA error: device-side assert triggered"
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (torch.ones(1).as_subclass(Asserting), RuntimeError, "^CUDA error"),
        (torch.ones(2), TypeError, "the loss of a step must be one number, got tensor"),
        (torch.ones(2).as_subclass(Asserting), TypeError, "the loss of a step must be one number"),
        (torch.ones(0), TypeError, "the loss of a step must be one number"),
        (torch.tensor(1j), TypeError, "the loss of a step must be one number"),
    ],
)
def test_an_error_of_the_device_is_not_said_to_be_one_of_the_loss(loss, error, message):
    model, optimizer, _ = training()
    with Finder(model, optimizer, num_it=1) as finder:
        next(finder)
        with pytest.raises(error, match=message):
            finder.record(loss)
