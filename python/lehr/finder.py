"""Sweeps in training loops of one's own: around any of them, and the plain case in a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from lehr._extras import need
from lehr.arguments import at_least_one, torch_optimizer
from lehr.batches import Batches
from lehr.engine import SweepEngine, add_settings
from lehr.rng import loader_generators, seed_all
from lehr.snapshot import Snapshot
from lehr.spacing import Spacing, as_values
from lehr.sweep import Sweep

if TYPE_CHECKING:
    import torch
else:
    torch = need("torch", "the learning-rate finder")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType


class Finder:
    """Sweeps the learning rate, or another hyper-parameter, in a training loop of one's own.

    Iterating over it inside its `with` block hands out the batches of the sweep. It sets the value
    of each iteration, begins the loader again when that ends, and ends the loop when the sweep is
    over: after `num_it` iterations, at divergence, or at the second consecutive loss that is not
    finite. What is done with a batch is up to the loop: closures, several optimizers, mixed
    precision, several batches a step; it calls `record(loss)` once an iteration.

    Leaving the block, also by an exception, puts back in memory and in place: parameters, buffers,
    `requires_grad`, gradients, training modes, the state, hyper-parameters and attributes of the
    optimizers and of those around and inside them, the random generators of Python, numpy and torch
    with those of the loader, the place of a loader that has `state_dict`, and `extras`. Schedulers
    of lehr on the optimizers stand still meanwhile, and need not be named.

    Args:
        model: What is trained: a module, or a list or dictionary of them.
        optimizer: The torch optimizer, or a list or dictionary of them; all are swept together.
        loader: Any iterable of batches. An iterator is used up by what is drawn, and must not end.
            With `None` every iteration gets `None`.
        hyper: What is swept: a key of the optimizer's groups (`lr`, `weight_decay`, `eps`), a path
            into a tuple (`betas[0]`), or a name that fits every optimizer (`mom`, `sqr_mom`, `wd`).
        start: Value of the first iteration; one number, or one per group, those of several
            optimizers in a row. 1e-7 by default where `lr` is swept.
        end: Value that iteration `num_it` would have; 10 by default where `lr` is swept.
        num_it: Number of iterations, at least 1; 100 by default, or as many as `values`.
        spacing: How the values lie between `start` and `end`: "exp" for equal ratios, which needs
            both above 0, or "linear" for equal differences.
        values: The values to try, in place of `start`, `end` and `spacing`.
        keep_ratios: Whether groups keep their ratios: the group whose value is largest before the
            sweep gets the swept value, any other its share of it. Groups at 0 stay there, unless
            all are; then, as with `False`, all get the swept value. Where every rate is 0, as
            a warmup begins, the ratios are those of `initial_lr`. One value per group in `start`
            or `end` sets the groups apart instead, and the curve has the last one's.
        stop_div: Whether to stop when the smoothed loss is above four times the best.
        extras: What else the loop changes and the sweep is to put back: gradient scalers, averages
            of the weights, torch schedulers, further loaders, modules, optimizers, tensors, arrays,
            generators, whatever else has `state_dict` and `load_state_dict`, and lists, tuples,
            deques, sets and dictionaries of such things and of what cannot change. All stay the
            objects they are. A loader is one of torch's, or has a sampler, a data set or a
            generator as those have; an iterable that begins again of itself needs no naming.
        generators: Further torch generators the loop draws from.
        device: Where the copies are, such as "cpu"; beside each tensor by default.
        settings: Strings, finite numbers, flags, `None`, and lists of them, to be added to the
            curve's, by other names than the sweep's own: `start`, `end`, `spacing`, `ratios`,
            `stop_div`. Plots of it call the loss what `criterion` says.

    Attributes:
        sweep: The curve: what was recorded so far.

    Raises:
        KeyError: A group has no such hyper-parameter.
        TypeError: An argument is of the wrong kind.
        ValueError: A value is out of range, the loader has no batch, or cannot begin again.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> loader = torch.linspace(-1, 1, 64).reshape(4, 16, 1)
        >>> with Finder(model, optimizer, loader, num_it=50) as finder:
        ...     for x in finder:
        ...         loss = (model(x) - 2 * x - 3).square().mean()
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         optimizer.step()
        ...         finder.record(loss)
        >>> finder.sweep.num_it, optimizer.param_groups[0]["lr"]
        (50, 0.1)

    Reference:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loader: Iterable[Any] | None = None,
        *,
        hyper: str = "lr",
        start: Any = None,
        end: Any = None,
        num_it: int | None = None,
        spacing: str = "exp",
        values: Iterable[float] | None = None,
        keep_ratios: bool = True,
        stop_div: bool = True,
        extras: Iterable[Any] = (),
        generators: Iterable[torch.Generator] = (),
        device: torch.device | str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        modules = _several(model)
        _check_modules(modules)
        layers = _several(optimizer)
        optimizers = [torch_optimizer(one) for one in layers]
        if not optimizers:
            message = "`optimizer` must be at least one, got none"
            raise ValueError(message)
        self._batches = None if loader is None else Batches(loader)
        values = None if values is None else as_values(values)
        extras, generators = [*extras], [*generators]

        def engine() -> SweepEngine:
            groups = sum(len(one.param_groups) for one in optimizers)
            spaced = Spacing(hyper, start, end, num_it, spacing, values, groups)
            ratios = spaced.ratios(optimizers, keep_ratios)
            return SweepEngine(
                lambda: Snapshot(
                    modules,
                    layers,
                    loaders=[] if loader is None else [loader],
                    generators=generators,
                    extras=extras,
                    device=device,
                    apart=spaced.apart,
                ),
                spaced.writer(optimizers, ratios),
                spaced.values,
                stop_div,
                hyper,
                add_settings(spaced.described(ratios, stop_div), settings),
            )

        # Made at once for its errors, and again for the groups there are when the sweep begins.
        self._engine, self._make_engine = engine(), engine
        self._where = "before"
        # Whether an iteration waits for its loss.
        self._waits = False

    @property
    def sweep(self) -> Sweep:
        """The curve: what was recorded so far."""
        return self._engine.sweep

    def __enter__(self) -> Self:
        if self._where != "before":
            message = "a Finder sweeps once: make another one"
            raise RuntimeError(message)
        self._engine = self._make_engine()
        try:
            self._engine.__enter__()
            self._where = "inside"
            return self  # noqa: TRY300 (guarded too)
        except BaseException:
            self._where = "before"
            self._engine.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._where = "after"
            if self._batches is not None:
                self._batches.close()
        finally:
            self._engine.__exit__(kind, error, traceback)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._check_inside()
        if self._waits:
            message = (
                "`record(loss)` must be called once in every iteration, it was not in "
                f"iteration {len(self._engine)}"
            )
            raise RuntimeError(message)
        if self._engine.over:
            raise StopIteration
        batch = None if self._batches is None else self._batches.take()
        self._engine.begin()
        self._waits = True
        return batch

    def batch(self) -> Any:
        """Return a further batch for the iteration under way: where a step takes several.

        Raises:
            RuntimeError: No iteration is under way, or the Finder has no loader.

        Example:
            >>> import torch
            >>> model = torch.nn.Linear(1, 1)
            >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            >>> loader = torch.linspace(-1, 1, 64).reshape(4, 16, 1)
            >>> with Finder(model, optimizer, loader, num_it=8, stop_div=False) as finder:
            ...     for x in finder:
            ...         optimizer.zero_grad()
            ...         for one in (x, finder.batch()):
            ...             loss = (model(one) - one).square().mean() / 2
            ...             loss.backward()
            ...         optimizer.step()
            ...         finder.record(loss)
            >>> len(finder.sweep)
            8
        """
        self._check_inside()
        if self._batches is None or not self._waits:
            what = "has no loader" if self._batches is None else "has no iteration under way"
            message = f"`batch()` returns a further batch of an iteration, and the Finder {what}"
            raise RuntimeError(message)
        return self._batches.take()

    def record(self, loss: Any) -> None:
        """Take the loss of the iteration.

        Args:
            loss: A number or a tensor of one. It is read at once, so a device is waited for. In
                several processes the loop reduces it first, as with `all_reduce`, and records the
                same in each: of losses of their own, one would stop and the others wait for it.

        Raises:
            RuntimeError: No iteration is under way, or its loss is recorded already.
            TypeError: `loss` is not one number.
        """
        if not self._waits:
            self._check_inside()
            message = (
                "`record(loss)` takes one loss an iteration, and none is under way: call it in "
                "the loop over the Finder"
            )
            raise RuntimeError(message)
        self._engine.end(loss)
        self._waits = False

    def _check_inside(self) -> None:
        if self._where != "inside":
            message = f"a Finder sweeps inside its `with` block, this is {self._where} it"
            raise RuntimeError(message)


def _several(value: Any) -> list[Any]:
    """Return one thing or several as a list; a container of modules is one module."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_modules(modules: list[Any]) -> None:
    for module in modules:
        if not isinstance(module, torch.nn.Module):
            message = f"`model` must be a torch module, or several, got {module!r}"
            raise TypeError(message)


def lr_find(
    model: torch.nn.Module,
    optimizer: Any,
    loader: Iterable[Any],
    loss_func: Callable[..., Any] | None = None,
    *,
    valid: Iterable[Any] | None = None,
    repeats: int = 1,
    seed: int | None = None,
    accumulate: int = 1,
    hyper: str = "lr",
    start: Any = None,
    end: Any = None,
    num_it: int | None = None,
    spacing: str = "exp",
    values: Iterable[float] | None = None,
    keep_ratios: bool = True,
    stop_div: bool = True,
    extras: Iterable[Any] = (),
    generators: Iterable[torch.Generator] = (),
    device: torch.device | str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Sweep:
    """Sweep the learning rate of a model, or another hyper-parameter, and restore everything.

    Every iteration takes a batch, in training mode (of a loss function that is a module too) and on
    the device of the model's parameters, and one step of the optimizer. A batch that is a tuple or
    list holds the inputs of the model and, last, the target; a mapping is its keywords; anything
    else goes to it whole.

    Where `torch.distributed` is initialised, every process calls it, and the loss of an iteration
    is the mean of theirs, so that all have the same curve and stop together.

    Args:
        model: The module that is trained.
        optimizer: The torch optimizer that trains it; one that needs a closure, such as LBFGS, too.
        loader: Any iterable of batches; it begins again when it ends.
        loss_func: Called with the model's output and the target, or the whole batch where that is
            no tuple. With `None` the output is the loss, or carries it as `.loss` or `["loss"]`.
        valid: Batches to validate on. Given, the loss of an iteration is the mean over them after
            the iteration's step, in evaluation mode, weighted by their numbers of samples: each
            sample counts once where the loss of a batch is a mean over its samples, as by default
            in torch, and not a sum. The random generators do not notice. Otherwise it is the loss
            of the batch before the step.
        repeats: Number of sweeps, which begin with the same weights and are pooled.
        seed: Seeds the generators of Python, numpy, torch and the loader before the sweep, and
            those of repeat r by `seed + r`. With `None` a single sweep goes on from where they are,
            and repeats begin at 0.
        accumulate: Number of batches a step, whose mean is the loss.
        hyper: What is swept, as of a `Finder`.
        start: Value of the first iteration, as of a `Finder`.
        end: Value that iteration `num_it` would have, as of a `Finder`.
        num_it: Number of iterations, 100 by default, or as many as `values`.
        spacing: "exp" for equal ratios, "linear" for equal differences.
        values: The values to try, in place of `start`, `end` and `spacing`.
        keep_ratios: Whether groups keep their ratios, as of a `Finder`.
        stop_div: Whether to stop when the smoothed loss is above four times the best.
        extras: What else training changes, as of a `Finder`; a loss function that is a module, and
            the loaders, need no naming.
        generators: Further torch generators that training draws from.
        device: Where the copies are; beside each tensor by default.
        settings: As of a `Finder`; `criterion` and `seed` are the sweep's own here.

    Returns:
        The curve, of `repeats` sweeps that of `Sweep.pool`.

    Raises:
        KeyError: A group has no such hyper-parameter.
        TypeError: An argument is of the wrong kind, or there is no loss.
        ValueError: A value is out of range, a loader has no batch, or cannot begin again.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x = torch.linspace(-1, 1, 64).reshape(4, 16, 1)
        >>> loader = [(batch, 2 * batch + 3) for batch in x]
        >>> sweep = lr_find(model, optimizer, loader, torch.nn.functional.mse_loss, end=1, seed=0)
        >>> sweep.num_it, sweep.settings["criterion"]
        (100, 'training loss')
    """
    from lehr.plain import Step, as_extras, seeds_of

    accumulate = at_least_one(accumulate, "accumulate")
    step = Step(model, optimizer, loss_func, valid)
    own = loader_generators(loader, valid)
    # What may be given as an iterator is used once a repeat.
    extras, generators = [*extras, *as_extras(valid)], [*generators, *own]
    values = None if values is None else as_values(values)
    sweeps, further = [], range(accumulate - 1)
    for one in seeds_of(seed, repeats):
        finder = Finder(
            step.modules,
            optimizer,
            loader,
            hyper=hyper,
            start=start,
            end=end,
            num_it=num_it,
            spacing=spacing,
            values=values,
            keep_ratios=keep_ratios,
            stop_div=stop_div,
            extras=extras,
            generators=generators,
            device=device,
            settings=add_settings({"criterion": step.criterion, "seed": one}, settings),
        )
        with finder:
            if one is not None:
                seed_all(one, generators)
            step.train()
            for batch in finder:
                finder.record(step([batch, *[finder.batch() for _ in further]]))
        sweeps.append(finder.sweep)
    return sweeps[0] if len(sweeps) == 1 else Sweep.pool(sweeps)
