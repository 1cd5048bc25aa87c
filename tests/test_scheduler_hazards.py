"""What changes under a Scheduler: groups, tensors, functions, other writers, other trainings."""

import gc
import math
import pickle
import weakref

import pytest
import torch
from lehr import Plateau, SchedLin, SchedNo, Scheduler, Tied, combine_scheds
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, ReduceLROnPlateau, SequentialLR

LINE = SchedLin(1, 0)


def parameters(count):
    return [torch.nn.Parameter(torch.ones(1)) for _ in range(count)]


def optimizer_of(*groups, kind=torch.optim.SGD, **options):
    made = kind([{"params": parameters(1), **group} for group in groups], **({"lr": 0.1} | options))
    for param in all_params(made):
        param.grad = torch.ones(1)
    return made


def all_params(optimizer):
    return [param for group in optimizer.param_groups for param in group["params"]]


def held(optimizer, key="lr"):
    return [float(group[key]) for group in optimizer.param_groups]


def go(optimizer, scheduler, steps=1):
    for _ in range(steps):
        optimizer.step()
        scheduler.step()


# Groups.

BY_DECAY = {
    "lr": {(lambda group: group["weight_decay"] == 0): SchedLin(0, 0.01), ...: SchedLin(0, 1)}
}
BY_RATE = {"lr": {(lambda group: group["lr"] < 0.05): SchedLin(0, 0.01), ...: SchedLin(0, 1)}}


@pytest.mark.parametrize("schedules", [BY_DECAY | {"weight_decay": Tied("lr", 0.1)}, BY_RATE])
def test_a_predicate_is_asked_once_and_not_about_what_the_schedules_wrote(schedules):
    optimizer = optimizer_of({"weight_decay": 0.1}, {"weight_decay": 0.0, "lr": 0.01})
    scheduler = Scheduler(optimizer, schedules, 10)
    go(optimizer, scheduler, 5)
    assert held(optimizer) == scheduler.get_last_lr() == [0.5, 0.005]
    scheduler.apply()
    assert held(optimizer) == [0.5, 0.005]
    again = optimizer_of({"weight_decay": 0.1}, {"weight_decay": 0.0, "lr": 0.01})
    resumed = Scheduler(again, schedules, 10)
    resumed.load_state_dict(scheduler.state_dict())
    again.load_state_dict(optimizer.state_dict())
    assert held(again) == [0.5, 0.005]


def test_a_predicate_that_tells_other_groups_than_before_is_refused():
    optimizer = optimizer_of({}, {"lr": 0.01})
    scheduler = Scheduler(optimizer, BY_RATE, 10)
    go(optimizer, scheduler, 5)
    other = Scheduler(optimizer_of({"lr": 0.01}, {"lr": 0.01}), BY_RATE, 10)
    with pytest.raises(ValueError, match="are not for the groups the training began with"):
        other.load_state_dict(scheduler.state_dict())
    assert other.last_epoch == 0


def test_a_predicate_that_tells_no_group_is_refused():
    with pytest.raises(ValueError, match="a predicate, .* that tells none of the 2"):
        Scheduler(optimizer_of({}, {}), {"lr": {(lambda group: group["lr"] > 1): LINE}}, 10)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("betas[0]", 1.0, r"`betas\[0\]` must be below 1, got 1.0"),
        ("mom", -0.1, "`mom` must be at least 0, got -0.1"),
        ("eps", -1.0, "`eps` must be at least 0, got -1.0"),
        ("weight_decay", -1.0, "`weight_decay` must be at least 0, got -1.0"),
        ("sqr_mom", 1.5, "`sqr_mom` must be below 1, got 1.5"),
    ],
)
def test_betas_that_no_optimizer_can_use_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Scheduler(optimizer_of({}, kind=torch.optim.AdamW), {name: SchedLin(0.5, value)}, 10)


def test_groups_that_change_places_keep_their_schedules():
    optimizer = optimizer_of({"name": "head"}, {"name": "body"}, {"name": "rest"})
    plan = {"lr": {"head": SchedNo(1, 1), 1: SchedNo(0.01, 0.01), ...: SchedNo(0.5, 0.5)}}
    scheduler = Scheduler(optimizer, plan, 10)
    optimizer.param_groups.append(optimizer.param_groups.pop(0))
    go(optimizer, scheduler)
    assert held(optimizer) == scheduler.get_last_lr() == [0.01, 0.5, 1.0]
    assert [group["name"] for group in optimizer.param_groups] == ["body", "rest", "head"]


def test_values_one_per_group_follow_their_groups_and_refuse_others():
    optimizer = optimizer_of({}, {})
    scheduler = Scheduler(optimizer, {"lr": SchedNo([1.0, 2.0], [1.0, 2.0])}, 10)
    optimizer.param_groups.reverse()
    go(optimizer, scheduler)
    assert held(optimizer) == scheduler.get_last_lr() == [2.0, 1.0]
    del optimizer.param_groups[0]
    optimizer.add_param_group({"params": parameters(1)})
    optimizer.step()
    with pytest.raises(ValueError, match="2 groups a value each.*not those it was made with"):
        scheduler.step()


def test_an_index_tells_the_group_it_told_at_first():
    optimizer = optimizer_of({}, {}, {})
    scheduler = Scheduler(optimizer, {"lr": {0: SchedNo(7, 7), ...: SchedNo(3, 3)}}, 10)
    del optimizer.param_groups[0]
    go(optimizer, scheduler)
    assert held(optimizer) == [3, 3]


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_one_tensor_that_torch_gives_to_all_groups_is_one_for_each(kind):
    optimizer = optimizer_of({}, {}, kind=kind, lr=torch.tensor(0.5))
    scheduler = Scheduler(optimizer, {"lr": [SchedNo(1, 1), SchedNo(0.25, 0.25)]}, 10)
    assert held(optimizer) == [1, 0.25]
    again = optimizer_of({}, {}, kind=kind, lr=torch.tensor(0.5))
    shared = again.state_dict()
    optimizer.load_state_dict(shared)
    go(optimizer, scheduler)
    assert held(optimizer) == scheduler.get_last_lr() == [1, 0.25]


def test_tensors_in_a_tuple_are_one_for_each_group():
    betas = (torch.tensor(0.9), torch.tensor(0.99))
    options = {
        "kind": torch.optim.AdamW,
        "betas": betas,
        "lr": torch.tensor(0.1),
        "capturable": False,
    }
    optimizer = optimizer_of({}, {}, **options)
    Scheduler(optimizer, {"betas[0]": [SchedNo(0.5, 0.5), SchedNo(0.25, 0.25)]}, 10)
    assert [float(group["betas"][0]) for group in optimizer.param_groups] == [0.5, 0.25]


def test_a_tensor_of_integers_is_refused():
    optimizer = optimizer_of({"level": torch.tensor(3)})
    with pytest.raises(TypeError, match=r"`level` is tensor\(3\) .* no number to schedule"):
        Scheduler(optimizer, {"level": LINE}, 10)


def test_a_tie_may_be_of_some_groups():
    optimizer = optimizer_of({"name": "weights"}, {"name": "biases"}, {"name": "other"})
    plan = {
        "lr": {"biases": SchedNo(2, 2), ...: LINE},
        "weight_decay": {"weights": Tied("lr", 0.5)},
    }
    scheduler = Scheduler(optimizer, plan, 10)
    go(optimizer, scheduler, 5)
    assert held(optimizer) == [0.5, 2, 0.5]
    assert held(optimizer, "weight_decay") == [0.25, 0, 0]
    state = scheduler.state_dict()
    with pytest.raises(ValueError, match="is not what it was when the training began"):
        Scheduler(
            optimizer, plan | {"weight_decay": {"weights": Tied("lr", 1)}}, 10
        ).load_state_dict(state)
    one_per_group = {"lr": SchedNo([1, 2, 3], [1, 2, 3]), "weight_decay": {0: Tied("lr", 0.5)}}
    with pytest.raises(ValueError, match="in all groups alone"):
        Scheduler(optimizer, one_per_group, 10)


def test_an_optimizer_without_a_rate_can_be_scheduled():
    class Signs(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"size": 0.1})

        def step(self, closure=None):
            pass

    optimizer = Signs(parameters(2))
    scheduler = Scheduler(optimizer, {"size": LINE}, 4)
    go(optimizer, scheduler)
    assert optimizer.param_groups[0]["size"] == 0.75
    assert "initial_lr" not in optimizer.param_groups[0]


def test_a_setter_of_a_key_of_the_optimizer_is_refused():
    optimizer = optimizer_of({})
    with pytest.raises(ValueError, match=r"`setters\['lr'\]` must be of no key of the optimizer"):
        Scheduler(optimizer, {"lr": LINE}, 4, setters={"lr": print})


# The optimizer's steps.


@pytest.mark.parametrize("count", ["calls", "optimizer"])
@pytest.mark.parametrize("first", ["optimizer", "scheduler"])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_the_step_that_torch_s_checkpoints_take_to_make_a_state_is_none(count, first, start):
    from torch.distributed.checkpoint import state_dict as checkpoints

    schedules = {"lr": SchedLin(start, 2.0)}

    def made():
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        return model, optimizer, Scheduler(optimizer, schedules, 10, count=count)

    model, optimizer, scheduler = made()
    checkpoints.get_optimizer_state_dict(model, optimizer)
    assert scheduler.last_epoch == 0
    for _ in range(5):
        model(torch.ones(1, 2)).sum().backward()
        go(optimizer, scheduler)
    assert scheduler.last_epoch == 5
    state = checkpoints.get_optimizer_state_dict(model, optimizer)
    model, again, resumed = made()
    if first == "scheduler":
        resumed.load_state_dict(scheduler.state_dict())
    checkpoints.set_optimizer_state_dict(model, again, state)
    if first == "optimizer":
        resumed.load_state_dict(scheduler.state_dict())
    assert resumed.last_epoch == 5
    assert held(again) == [schedules["lr"](0.5)]
    model(torch.ones(1, 2)).sum().backward()
    go(again, resumed)
    assert held(again) == [schedules["lr"](0.6)]


# Others that write.


@pytest.mark.parametrize("groups", [1, 3])
def test_a_value_that_something_else_wrote_is_warned_of_once(groups):
    optimizer = optimizer_of(*[{}] * groups)
    chained = ChainedScheduler(
        [Scheduler(optimizer, {"lr": LINE}, 10), ConstantLR(optimizer, 0.5, total_iters=3)]
    )
    optimizer.step()
    with pytest.warns(UserWarning, match="changed since the last step by something else"):
        chained.step()
    go(optimizer, chained, 3)


def test_a_plateau_of_torch_s_beside_ours_is_warned_of():
    optimizer = optimizer_of({})
    scheduler, plateau = (
        Scheduler(optimizer, {"lr": LINE}, 10),
        ReduceLROnPlateau(optimizer, patience=0),
    )
    go(optimizer, scheduler, 2)
    plateau.step(1.0)
    plateau.step(1.0)
    optimizer.step()
    with pytest.warns(UserWarning, match="ReduceLROnPlateau"):
        scheduler.step()
    assert held(optimizer) == [0.7]


def test_a_child_that_is_not_at_work_lets_the_other_s_values_be():
    optimizer = optimizer_of({})
    warmup = Scheduler(optimizer, {"lr": SchedNo(0.5, 0.5)}, 10)
    main = Scheduler(optimizer, {"lr": LINE}, 10, plateau=Plateau(0.5, 0))
    chain = SequentialLR(optimizer, [warmup, main], [5])
    go(optimizer, chain)
    assert [main.observe(1.0), main.observe(1.0)] == [False, True]
    assert held(optimizer) == [0.5]
    with pytest.raises(ValueError, match=r"`cooldown` needs \['lr'\] in force"):
        main.cooldown(3)
    go(optimizer, chain, 4)
    assert held(optimizer) == [0.5 * 1.0]


@pytest.mark.filterwarnings("ignore:.step... was called and the optimizer had taken no step")
def test_a_tensor_that_moves_the_scheduler_as_it_is_filled_is_refused():
    class Mover(torch.Tensor):
        moves = 0

        def fill_(self, value):
            if Mover.moves:
                Mover.moves -= 1
                scheduler.step()
            return super().fill_(value)

    optimizer = optimizer_of({"lr": torch.tensor(0.1).as_subclass(Mover)})
    scheduler = Scheduler(optimizer, {"lr": LINE}, 10)
    optimizer.step()
    Mover.moves = 10**9
    with pytest.raises(RuntimeError, match="moved by what it was writing to"):
        scheduler.step()
    Mover.moves = 0
    assert scheduler.last_epoch == 0
    go(optimizer, scheduler)
    assert held(optimizer) == pytest.approx([0.9])


@pytest.mark.parametrize(
    ("count", "interval"), [("calls", "step"), ("optimizer", "step"), ("calls", "epoch")]
)
def test_a_training_longer_than_its_schedules_is_warned_of_once(count, interval):
    optimizer = optimizer_of({})
    scheduler = Scheduler(optimizer, {"lr": LINE}, 4, count=count, interval=interval)
    go(optimizer, scheduler, 4)
    with pytest.warns(
        UserWarning, match="the schedules ended after 4 steps, and the optimizer goes"
    ):
        go(optimizer, scheduler)
    go(optimizer, scheduler, 3)
    assert held(optimizer) == [0]


def test_a_state_saved_between_the_optimizer_s_step_and_ours_goes_on_at_the_next():
    optimizer = optimizer_of({})
    scheduler = Scheduler(optimizer, {"lr": LINE}, 10)
    go(optimizer, scheduler, 3)
    optimizer.step()
    state, weights = scheduler.state_dict(), optimizer.state_dict()
    copied = pickle.loads(pickle.dumps(scheduler))
    scheduler.step()
    assert copied.last_epoch == 3
    again = optimizer_of({})
    resumed = Scheduler(again, {"lr": LINE}, 10)
    resumed.load_state_dict(state)
    again.load_state_dict(weights)
    assert resumed.last_epoch == scheduler.last_epoch == 4
    assert held(again) == held(optimizer) == [0.6]


# Lifetimes and sizes.


def test_a_trainer_whose_method_is_a_schedule_is_collected():
    class Trainer:
        def __init__(self):
            self.optimizer = optimizer_of({})
            self.scheduler = Scheduler(self.optimizer, {"lr": self.rate}, 10)

        def rate(self, pos):
            return 1 - pos

    trainer = Trainer()
    gone = weakref.ref(trainer)
    go(trainer.optimizer, trainer.scheduler, 2)
    del trainer
    gc.collect()
    assert gone() is None


def test_a_preview_that_does_not_fit_into_memory_says_so_at_once():
    scheduler = Scheduler(optimizer_of({}), {"lr": LINE}, 10**13)
    with pytest.raises(MemoryError, match="do not fit into memory"):
        scheduler.preview()


def test_an_optimizer_that_holds_itself_is_taken_as_it_is():
    class Odd(torch.optim.SGD):
        @property
        def optimizer(self):
            return self

    odd = Odd(parameters(1), lr=0.1)
    assert Scheduler(odd, {"lr": LINE}, 10).optimizer is odd


@pytest.mark.parametrize("step", [2**53 + 1, 2**63 - 1, 2**70])
def test_a_step_beyond_what_a_float64_can_tell_is_refused(step):
    scheduler = Scheduler(optimizer_of({}), {"lr": LINE}, 10)
    with pytest.raises(ValueError, match="`last_epoch` must be at least 0, and at most 2"):
        scheduler.last_epoch = step


# Other trainings.


def warmup(share):
    return lambda pos: min(1.0, pos / share)


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ({"lr": warmup(0.01)}, {"lr": warmup(0.03)}, "the schedule of `lr` is not the one"),
        ({"lr": warmup(1e-4)}, {"lr": warmup(2e-4)}, "the schedule of `lr` is not the one"),
        (
            {"lr": combine_scheds([1], [lambda pos: min(1.0, (1 - pos) / 0.01)])},
            {"lr": combine_scheds([1], [lambda pos: min(1.0, (1 - pos) / 0.02)])},
            "the schedule of `lr` is not the one",
        ),
        (
            {"lr": {(lambda group: group["name"] == "a"): LINE, ...: SchedNo(1, 1)}},
            {"lr": {(lambda group: group["name"] == "b"): LINE, ...: SchedNo(1, 1)}},
            "are not for the groups the training began with",
        ),
    ],
)
def test_another_training_is_refused(before, now, message):
    state = Scheduler(optimizer_of({"name": "a"}, {"name": "b"}), before, 1000).state_dict()
    with pytest.raises(ValueError, match=message):
        Scheduler(optimizer_of({"name": "a"}, {"name": "b"}), now, 1000).load_state_dict(state)


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ({"interval": "epoch"}, {}, "`interval` must be as when the training began, 'epoch'"),
        ({"plateau": Plateau(0.5)}, {"plateau": Plateau(0.1)}, "`plateau` must be as when"),
        ({"plateau": Plateau(min_lr=0.1)}, {"plateau": Plateau()}, "`plateau` must be as when"),
    ],
)
def test_another_setting_is_refused_unless_it_is_asked_for(before, now, message):
    state = Scheduler(optimizer_of({}), {"lr": LINE}, 10, **before).state_dict()
    with pytest.raises(ValueError, match=message):
        Scheduler(optimizer_of({}), {"lr": LINE}, 10, **now).load_state_dict(state)
    kept = Scheduler(optimizer_of({}), {"lr": LINE}, 10, keep="step", **now)
    kept.load_state_dict(state)


def test_names_in_force_that_are_not_scheduled_are_refused():
    scheduler = Scheduler(optimizer_of({}), {"lr": LINE}, 10)
    with pytest.raises(ValueError, match=r"the state has \['nope'\] in force"):
        scheduler.load_state_dict(scheduler.state_dict() | {"active": ["nope"]})


# After an error.


def test_a_metric_whose_reduction_fails_is_not_observed():
    optimizer, seen = optimizer_of({}), []

    def setter(value):
        seen.append(value)
        if len(seen) == 2:
            raise RuntimeError("no")

    plan = {"lr": LINE, "dropout": SchedNo(0.5, 0.5)}
    scheduler = Scheduler(optimizer, plan, 10, plateau=Plateau(0.5, 0), setters={"dropout": setter})
    scheduler.observe(1.0)
    with pytest.raises(RuntimeError, match="no"):
        scheduler.observe(1.0)
    assert held(optimizer) == [1.0]
    assert scheduler.state_dict()["plateau"] == [1.0, 1.0, 0, 0]
    assert scheduler.observe(1.0)
    assert held(optimizer) == [0.5]


@pytest.mark.parametrize("metric", ["0.5", None, [1.0], math])
def test_a_metric_that_is_no_number_is_refused(metric):
    scheduler = Scheduler(optimizer_of({}), {"lr": LINE}, 10, plateau=Plateau())
    with pytest.raises(TypeError, match="`metric` must be a number, got"):
        scheduler.observe(metric)


@pytest.mark.parametrize(("hypers", "error"), [([], ValueError), (3, TypeError), ([3], TypeError)])
def test_names_of_hyper_parameters_that_are_none_are_refused(hypers, error):
    with pytest.raises(error, match="`hypers` must"):
        Plateau(hypers=hypers)
    scheduler = Scheduler(optimizer_of({}), {"lr": LINE}, 10)
    with pytest.raises(error, match="`hypers` must"):
        scheduler.cooldown(3, hypers=hypers)
