"""Sweeps around loops of all kinds: after them every tensor and generator is as before."""

import copy
import random

import lehr
import numpy as np
import pytest
import torch
from lehr import Finder, SchedLin, Scheduler, lr_find
from state import Placed, capture, plain
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

FEATURES = 4
ITERATIONS = 8


class Net(nn.Module):
    """Dropout, batch norm, a tied weight, frozen parameters, and buffers of every kind."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, FEATURES)
        )
        self.tied = nn.Linear(8, FEATURES)
        self.tied.weight = self.body[3].weight
        self.frozen = nn.Linear(FEATURES, FEATURES).requires_grad_(False)
        self.register_buffer("scratch", torch.ones(3), persistent=False)
        self.register_buffer("spread", torch.ones(1).expand(5))
        self.register_buffer("column", torch.ones(4, 4)[:, 1])
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.scratch.mul_(1.5)
        self.column += 1
        self.count = self.count + 1
        hidden = self.body[:3](self.frozen(x))
        return self.body[3](hidden) + self.tied(hidden)


def seed():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def loader(**options):
    x = torch.randn(32, FEATURES)
    data = TensorDataset(x, x.sin())
    options = {"generator": torch.Generator().manual_seed(3)} | options
    return DataLoader(data, 8, shuffle=True, **options)


class Training:
    """A model and an optimizer that have trained, with gradients and modes of their own."""

    def __init__(self, make=torch.optim.AdamW, trained=2, **options):
        seed()
        self.model = Net()
        rates = [{"params": self.model.body[0].parameters(), "lr": 1e-3}]
        held = {id(p) for p in self.model.body[0].parameters()}
        rates += [{"params": [p for p in self.model.parameters() if id(p) not in held]}]
        self.optimizer = make(rates, **({"lr": 1e-2} | options))
        self.loader = loader()
        for batch in list(self.loader)[:trained]:
            self.step(batch)
        self.model.body[1].eval()

    def loss(self, batch):
        x, y = batch
        return (self.model(x + np.random.rand() + random.random()) - y).square().mean()

    def step(self, batch):
        def closure():
            self.optimizer.zero_grad()
            loss = self.loss(batch)
            loss.backward()
            return loss

        return self.optimizer.step(closure)

    def capture(self):
        everything = capture(self.model, self.optimizer, [self.loader.generator])
        everything["wanted"] = [p.requires_grad for p in self.model.parameters()]
        everything["attributes"] = sorted(vars(self.optimizer))
        everything["keys"] = [id(p) for p in self.optimizer.state]
        return everything

    def sweep(self, step=None, **options):
        options = {"num_it": ITERATIONS, "stop_div": False} | options
        with Finder(self.model, self.optimizer, self.loader, **options) as finder:
            for batch in finder:
                finder.record((step or self.step)(batch))
        return finder.sweep


def lbfgs(groups, **options):
    return torch.optim.LBFGS([p for group in groups for p in group["params"]], **options)


OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "foreach": (torch.optim.Adam, {"foreach": True, "amsgrad": True}),
    "fused": (torch.optim.AdamW, {"fused": True}),
    "capturable": (torch.optim.AdamW, {"lr": torch.tensor(0.01)}),
    "ASGD": (torch.optim.ASGD, {}),
    "RMSprop": (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
    "Adagrad": (torch.optim.Adagrad, {}),
    "Rprop": (torch.optim.Rprop, {}),
    "LBFGS": (lbfgs, {"lr": 0.1, "max_iter": 3}),
}


@pytest.mark.parametrize("trained", [0, 2])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_everything_is_as_before_whatever_the_optimizer(kind, trained):
    make, options = OPTIMIZERS[kind]
    training = Training(make, trained, **options)
    before = training.capture()
    weights = [p.detach().clone() for p in training.model.parameters()]
    moved = []

    def step(batch):
        moved.append(not torch.equal(weights[0], training.model.body[0].weight))
        return training.step(batch)

    assert len(training.sweep(step, start=1e-3, end=1)) == ITERATIONS
    assert moved[-1]
    assert training.capture() == before


ERRORS = [KeyboardInterrupt, RuntimeError, StopIteration]
PLACES = ["batch", "step", "backward", "before record", "after record"]


class Interrupted:
    """Raises an error at one place of one iteration, and counts the iterations."""

    def __init__(self, place, at, error):
        self.place, self.at, self.error, self.iteration = place, at, error, 0

    def here(self, place):
        if place == self.place and self.iteration == self.at:
            raise self.error

    def loader(self, batches):
        """Batches, as a loader that can be begun again."""
        outer = self

        class Loader:
            generator = batches.generator

            def __iter__(self):
                for batch in batches:
                    outer.here("batch")
                    yield batch

        return Loader()


def loop(finder, loss_of, stop):
    with finder:
        for batch in finder:
            loss = loss_of(batch)
            stop.here("before record")
            finder.record(loss)
            stop.here("after record")
            stop.iteration += 1


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", PLACES)
def test_a_loop_interrupted_at_every_iteration_leaves_every_tensor_as_before(place, error):
    # A loader that is a generator turns StopIteration into RuntimeError.
    raised = RuntimeError if (place, error) == ("batch", StopIteration) else error
    for at in range(ITERATIONS):
        training = Training()
        before = training.capture()
        stop = Interrupted(place, at, error())

        def loss_of(batch, training=training, stop=stop):
            training.optimizer.zero_grad()
            loss = training.loss(batch)
            stop.here("step")
            loss.backward()
            stop.here("backward")
            training.optimizer.step()
            return loss

        batches = stop.loader(training.loader)
        options = {"num_it": ITERATIONS, "stop_div": False}
        finder = Finder(training.model, training.optimizer, batches, **options)
        with pytest.raises(raised):
            loop(finder, loss_of, stop)
        assert stop.iteration == at
        assert training.capture() == before
        assert finder.sweep.stop == "interrupted" or at == ITERATIONS - 1
        assert len(finder.sweep) == at + (place == "after record")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", ["batch", "forward", "loss", "step"])
def test_lr_find_interrupted_at_every_iteration_leaves_every_tensor_as_before(place, error):
    raised = RuntimeError if (place, error) == ("batch", StopIteration) else error
    for at in range(ITERATIONS):
        training = Training()
        stop = Interrupted(place, at, error())

        class Watched(nn.Module):
            def __init__(self, inner, stop):
                super().__init__()
                self.inner, self.stop = inner, stop

            def forward(self, x):
                self.stop.here("forward")
                return self.inner(x)

        def loss_func(pred, y, stop=stop):
            stop.here("loss")
            return (pred - y).square().mean()

        def counted(*_, stop=stop):
            stop.here("step")
            stop.iteration += 1

        training.optimizer.register_step_post_hook(counted)
        model = Watched(training.model, stop)
        before = training.capture()
        with pytest.raises(raised):
            lr_find(
                model, training.optimizer, stop.loader(training.loader), loss_func,
                num_it=ITERATIONS, stop_div=False,
            )  # fmt: skip
        assert stop.iteration == at
        assert training.capture() == before


def assert_same(one, other):
    """Check that two trainings ended with the same bits."""
    for what in one.keys() - {"ids", "buffer ids", "keys"}:
        assert one[what] == other[what], what


def test_a_training_goes_on_to_the_same_bits_as_one_that_was_never_swept():
    ends = []
    for swept in (False, True):
        training = Training(trained=0)
        valid = loader(generator=None)
        if swept:
            training.sweep()
            lr_find(
                training.model, training.optimizer, training.loader, nn.functional.mse_loss,
                valid=valid, repeats=2, accumulate=2, num_it=ITERATIONS,
            )  # fmt: skip
        for batch in training.loader:
            training.step(batch)
        ends.append(training.capture())
    assert_same(*ends)


def test_two_optimizers_of_a_gan_are_swept_together_and_restored():
    seed()
    generator, critic = nn.Linear(2, FEATURES), nn.Linear(FEATURES, 1)
    makes = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.9))
    judges = torch.optim.Adam(critic.parameters(), lr=4e-4)

    def state():
        return capture(generator, makes), capture(critic, judges)

    rates, reals = [], [torch.randn(8, FEATURES) for _ in range(3)]
    before = state()
    models, optimizers = {"makes": generator, "judges": critic}, {"makes": makes, "judges": judges}
    options = {"start": 1e-6, "end": 1.0, "num_it": ITERATIONS, "stop_div": False}
    with Finder(models, optimizers, reals, **options) as finder:
        for real in finder:
            rates.append([makes.param_groups[0]["lr"], judges.param_groups[0]["lr"]])
            fake = generator(torch.randn(8, 2))
            loss = critic(fake.detach()).mean() - critic(real).mean()
            judges.zero_grad()
            loss.backward()
            judges.step()
            makes.zero_grad()
            (-critic(fake)).mean().backward()
            makes.step()
            finder.record(loss)
    assert state() == before
    # The largest rate is the critic's, the other keeps a quarter of it.
    assert [second for _, second in rates] == finder.sweep.lrs.tolist()
    assert [4 * first for first, _ in rates] == pytest.approx(finder.sweep.lrs, rel=1e-15)
    assert finder.sweep.settings["ratios"] == pytest.approx((0.25, 1))


def test_a_gradient_scaler_in_extras_comes_back_and_its_skipped_steps_do_no_harm():
    training = Training(trained=0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=2)
    before, state = training.capture(), copy.deepcopy(scaler.state_dict())
    scales = []

    def step(batch, fail=False):
        training.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = training.loss(batch)
        # Every third step meets an infinite gradient and is skipped.
        scaled = scaler.scale(loss * (float("inf") if len(scales) % 3 == 2 else 1))
        scaled.backward()
        scaler.unscale_(training.optimizer)
        if fail:
            raise KeyboardInterrupt
        scaler.step(training.optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        return loss

    sweep = training.sweep(step, extras=[scaler])
    assert len(sweep) == ITERATIONS
    assert len(set(scales)) == 2
    assert training.capture() == before
    assert scaler.state_dict() == state
    # Cut between `unscale_` and `step`: it may be unscaled again.
    with pytest.raises(KeyboardInterrupt):
        training.sweep(lambda batch: step(batch, fail=True), extras=[scaler])
    assert scaler.state_dict() == state
    scales.clear()
    step(next(iter(training.loader)))


@pytest.mark.parametrize("count", ["calls", "optimizer"])
def test_a_scheduler_of_the_optimizer_stands_still_and_goes_on_where_it_was(count):
    ends, rates = [], []
    for swept in (False, True):
        training = Training(torch.optim.SGD, trained=0, momentum=0.9)
        scheduler = Scheduler(
            training.optimizer, {"lr": SchedLin(0.1, 0), "mom": SchedLin(0.9, 0.5)}, 20, count=count
        )
        batches = list(training.loader)

        def go(batch, training=training, scheduler=scheduler):
            loss = training.step(batch)
            scheduler.step()
            return loss

        for batch in batches[:2]:
            go(batch)
        assert scheduler.last_epoch == 2
        if swept:
            before = training.capture(), scheduler.state_dict()

            def watched(batch, training=training, go=go):
                rates.append(training.optimizer.param_groups[-1]["lr"])
                # Several steps of the optimizer in an iteration, all at its rate.
                go(batch)
                assert training.optimizer.param_groups[-1]["lr"] == rates[-1]
                return go(batch)

            sweep = training.sweep(watched)
            assert rates == sweep.lrs.tolist()
            assert (training.capture(), scheduler.state_dict()) == before
        for batch in batches[2:]:
            go(batch)
        assert scheduler.last_epoch == 4
        ends.append(training.capture())
    assert_same(*ends)


def test_a_torch_scheduler_in_extras_comes_back_and_the_step_stays_as_it_was():
    training = Training(torch.optim.SGD, trained=0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(training.optimizer, 50)
    wrapped = training.optimizer.step
    before, state = training.capture(), copy.deepcopy(scheduler.state_dict())

    def step(batch):
        loss = training.step(batch)
        scheduler.step()
        return loss

    training.sweep(step, extras=[scheduler])
    assert training.capture() == before
    assert scheduler.state_dict() == state
    assert training.optimizer.step is wrapped
    # torch would say that the scheduler was stepped before the optimizer, as without a sweep.
    with pytest.warns(UserWarning, match="before"):
        scheduler.step()


def test_an_average_of_the_weights_and_other_extras_come_back():
    training = Training()
    average = torch.optim.swa_utils.AveragedModel(training.model.body)
    numbers, drawer, dice = np.random.default_rng(1), torch.Generator(), random.Random(2)
    weights, log, other = torch.ones(3), {"losses": [1.0]}, torch.optim.SGD([torch.ones(1)], 1.0)
    further = Placed([torch.ones(1)] * 20)

    def state():
        shown = [plain(average.state_dict()), plain(weights), copy.deepcopy(log), further.place]
        return [
            *shown, numbers.bit_generator.state, plain(drawer.get_state()), dice.getstate(),
            other.param_groups[0]["lr"],
        ]  # fmt: skip

    before = state()

    def step(batch):
        loss = training.step(batch)
        average.update_parameters(training.model.body)
        weights.mul_(2)
        log["losses"].append(loss.item())
        log["more"] = 1
        numbers.random()
        dice.random()
        torch.rand(1, generator=drawer)
        other.param_groups[0]["lr"] /= 2
        next(iter(further))
        return loss

    extras = [average, numbers, drawer, dice, weights, log, other, further]
    training.sweep(step, extras=extras)
    assert state() == before
    with pytest.raises(TypeError, match=r"`extras\[1\]` must be a module, an optimizer"):
        training.sweep(extras=[weights, 3])


def test_sparse_gradients_and_gradients_that_were_there_come_back():
    seed()
    model = nn.EmbeddingBag(10, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=0.1)
    model(torch.arange(4).reshape(2, 2)).sum().backward()
    grad = model.weight.grad
    entries = plain(grad.coalesce().values())
    held = plain(model.weight)
    with Finder(model, optimizer, num_it=ITERATIONS, stop_div=False) as finder:
        for _ in finder:
            loss = model(torch.randint(10, (4, 2))).square().mean()
            optimizer.zero_grad()
            loss.backward()
            assert model.weight.grad.is_sparse
            optimizer.step()
            finder.record(loss)
    assert plain(model.weight) == held
    assert model.weight.grad is grad
    assert plain(grad.coalesce().values()) == entries
    assert len(optimizer.state) == 0


def test_modes_flags_groups_and_a_loaded_state_come_back():
    training = Training()
    before = training.capture()
    saved = copy.deepcopy(training.optimizer.state_dict())

    def step(batch):
        training.model.train()
        training.model.frozen.requires_grad_(True)
        training.optimizer.load_state_dict(saved)
        training.optimizer.param_groups.reverse()
        training.model.register_buffer("late", torch.zeros(1))
        return training.step(batch)

    training.sweep(step, num_it=1)
    assert training.capture() == before


def test_a_loader_with_a_place_and_counters_of_its_sampler_come_back():
    class Counting(torch.utils.data.RandomSampler):
        epoch = 0

        def __init__(self, data):
            super().__init__(data)
            self.epoch = 0

        def __iter__(self):
            self.epoch += 1
            return super().__iter__()

    training = Training()
    placed = Placed(list(training.loader))
    placed.place = 2
    training.loader = DataLoader(
        training.loader.dataset, 8, sampler=Counting(training.loader.dataset)
    )
    sampler = training.loader.sampler
    training.loader.generator = torch.Generator()
    training.sweep()
    assert sampler.epoch == 0
    with Finder(training.model, training.optimizer, placed, num_it=9, stop_div=False) as finder:
        for batch in finder:
            finder.record(training.step(batch))
    assert placed.place == 2


def test_a_loader_with_workers_that_live_on_begins_as_if_there_had_been_no_sweep():
    orders = []
    for swept in (False, True):
        training = Training(trained=0)
        training.loader = loader(num_workers=1, persistent_workers=True)
        if swept:
            training.sweep()
        orders.append([plain(x) for x, _ in training.loader])
    assert orders[0] == orders[1]


def test_a_compiled_model_is_restored():
    training = Training(torch.optim.SGD)
    before = training.capture()
    compiled = torch.compile(training.model, backend="eager")
    with Finder(compiled, training.optimizer, training.loader, num_it=4) as finder:
        for x, y in finder:
            training.optimizer.zero_grad()
            loss = (compiled(x) - y).square().mean()
            loss.backward()
            training.optimizer.step()
            finder.record(loss)
    assert training.capture() == before


def test_a_restore_that_is_interrupted_is_completed(monkeypatch):
    training = Training()
    before = training.capture()
    put, calls = torch.set_rng_state, []

    def interrupted(state):
        calls.append(1)
        if len(calls) < 3:
            raise KeyboardInterrupt
        put(state)

    monkeypatch.setattr(torch, "set_rng_state", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.sweep()
    assert training.capture() == before


def test_memory_that_tensors_share_is_copied_once():
    class Sharing(nn.Module):
        def __init__(self):
            super().__init__()
            flat = torch.randn(1200)
            self.a = nn.Parameter(flat[:600].view(20, 30))
            self.b = nn.Parameter(flat[600:].view(30, 20).t())
            self.register_buffer("column", flat.view(40, 30)[:, 3])
            self.register_buffer("every", flat[:600].view(20, 30)[:10])

    model = Sharing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = capture(model, optimizer)
    with torch.profiler.profile(profile_memory=True) as profile:
        finder = Finder(model, optimizer, num_it=1).__enter__()
    taken = sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())
    with torch.no_grad():
        model.a.mul_(2)
        model.b.add_(1)
        model.column.zero_()
    finder.__exit__(None, None, None)
    assert capture(model, optimizer) == before
    # The generators' state is 5 KB of it.
    assert 4800 <= taken - torch.get_rng_state().numel() <= 1.1 * 4800


def test_copies_are_where_they_are_asked_to_be():
    training = Training()
    before = training.capture()
    training.sweep(device="cpu")
    assert training.capture() == before
    if torch.cuda.is_available():
        model = nn.Linear(1000, 1000, device="cuda")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        held = torch.cuda.memory_allocated()
        with Finder(model, optimizer, num_it=1, device="cpu"):
            assert torch.cuda.memory_allocated() == held
            with torch.no_grad():
                model.weight.zero_()
        assert model.weight.any()


def test_a_lazy_parameter_is_refused_before_anything_is_touched():
    model = nn.Sequential(nn.LazyLinear(2))
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match="no shape yet"), Finder(model, optimizer):
        pass


def test_names_are_in_the_package():
    assert lehr.Finder is Finder
    assert lehr.lr_find is lr_find
