"""Schedules in a training loop of one's own: a torch scheduler for any hyper-parameter."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import SchedLin, Schedule, _core, hypers
from lehr._extras import need
from lehr.arguments import integer, torch_optimizer
from lehr.memory import keep_value
from lehr.plateau import Plateau, as_names
from lehr.targets import HINT, Targets

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler
else:
    torch = need("torch", "a Scheduler")
    LRScheduler = need("torch.optim.lr_scheduler", "a Scheduler").LRScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lehr.plotting import Figure

# Points of a picture.
_POINTS = 2000
# Positions at which a rate is looked at before it is used.
_LOOKS = 1001
# Beyond this a float64 cannot tell one step from the next.
_FAR = 2**53
# The schedulers of each optimizer.
_SCHEDULERS: weakref.WeakKeyDictionary[torch.optim.Optimizer, weakref.WeakSet[Scheduler]] = (
    weakref.WeakKeyDictionary()
)


class Scheduler(LRScheduler):
    """Writes hyper-parameters by their schedules, step by step, in a training loop of one's own.

    A real torch scheduler: call `step()` after every step of the optimizer. The values of the first
    step are in place on construction. Step k of `steps` has the value `f(k / steps)` (rule 1), from
    step `steps` on `f(1)`: the value depends on the step alone, so whatever the order in which
    optimizer and scheduler are made and loaded, a resumed run goes on with the right values.

    Args:
        optimizer: The torch optimizer. Its `step` is not replaced; a hook counts its steps.
        schedules: For each hyper-parameter its schedule. A hyper-parameter is a key of the
            optimizer's groups (`lr`, `weight_decay`, `momentum`, `eps`, any other), a path into a
            tuple (`betas[0]`), one of lehr's names that fit every optimizer (`mom`, `sqr_mom`,
            `wd`), or a name in `setters`. A schedule is a `Schedule` (with one value, or one per
            group), a `PhaseSpec` or a preset with lengths as text, which are resolved here, a
            function of the position, `Tied` to another hyper-parameter,
            a list of schedules with one per group, or a mapping of group to schedule. There a group
            is told by its index, its `name`, a predicate called with the group, or `...` for those
            that nothing else tells; groups that nothing tells keep their values.
        steps: Length of the training: optimizer steps, or a length such as `"2 epochs"` or
            `"20e9 tokens"`.
        steps_per_epoch: Optimizer steps in an epoch, where a length is in epochs.
        tokens_per_step: Tokens that one optimizer step sees, where a length is in tokens.
        interval: "step"; or "epoch" where `step()` is called once an epoch, and lengths are epochs.
        count: "calls" of `step`; or "optimizer": steps the optimizer really took, so that those a
            scaler skipped do not count, and `step()` does nothing (rule 22).
        start_step: Step to begin at. Given, an optimizer that has trained already needs no
            `load_state_dict`.
        keep: What `load_state_dict` does where the length or a schedule has changed: `None`
            refuses; "step" goes on at the step of the state; "fraction" where the same share of the
            training is done.
        setters: For hyper-parameters that are in no group: a function called with the value at
            every step (a list of values where the schedule has one per group).
        plateau: A factor over schedules that `observe` lowers.

    Attributes:
        optimizer: The torch optimizer.
        steps: Length of the training, in steps of the schedule.
        last_epoch: The step whose values are in force, torch's name for it; set it to move there.

    Groups are told once, when they are first seen, and known by their parameters: they may change
    places. One that is added to the optimizer later has its values from the next `step()` on (or
    `apply()`): a schedule for all groups holds for it too, and in a mapping what tells it. Where
    values were given one per group, there is none for it, and `step()` raises.

    Raises:
        KeyError: The optimizer has no such hyper-parameter, or no such group.
        TypeError: An argument is of the wrong type, or a hyper-parameter is no number.
        ValueError: A value is out of range, a length cannot be resolved, or numbers of groups do
            not agree.

    Warns:
        UserWarning: At `step()`, once: the optimizer took more than one step, or none, since the
            last call; it had been trained before, and neither a state was loaded nor
            `start_step` given; or something else had changed a value since the last step, which
            is written over; or the schedules ended before the training (rule 23).

    Example:
        >>> import torch
        >>> from lehr import SchedCos, combined_cos
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> rates = combined_cos(0.25, 4e-5, 1e-3, 1e-8)
        >>> scheduler = Scheduler(optimizer, {"lr": rates, "momentum": SchedCos(0.95, 0.85)}, 100)
        >>> for _ in range(25):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.001]
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedules: Mapping[str, Any],
        steps: int | str,
        *,
        steps_per_epoch: int | None = None,
        tokens_per_step: float | None = None,
        interval: str = "step",
        count: str = "calls",
        start_step: int | None = None,
        keep: str | None = None,
        setters: Mapping[str, Callable[[Any], Any]] | None = None,
        plateau: Plateau | None = None,
    ) -> None:
        # torch's own constructor is not called: it would replace `optimizer.step`.
        for name, value, choices in (
            ("interval", interval, ("step", "epoch")),
            ("count", count, ("calls", "optimizer")),
            ("keep", keep, (None, "step", "fraction")),
        ):
            if value not in choices:
                message = f"`{name}` must be one of {choices}, got {value!r}"
                raise ValueError(message)
        if interval == "epoch" and count == "optimizer":
            message = (
                '`interval="epoch"` needs `count="calls"`: a step of the optimizer is no epoch'
            )
            raise ValueError(message)
        if plateau is not None and not isinstance(plateau, Plateau):
            message = f"`plateau` must be a lehr.Plateau or None, got {plateau!r}"
            raise TypeError(message)
        start = 0 if start_step is None else _step_number(start_step, "start_step")
        self.optimizer = torch_optimizer(optimizer)
        self._arguments = {
            "schedules": schedules, "steps": steps, "steps_per_epoch": steps_per_epoch,
            "tokens_per_step": tokens_per_step, "interval": interval, "count": count,
            "start_step": start_step, "keep": keep, "setters": setters, "plateau": plateau,
        }  # fmt: skip
        self.interval, self.count, self._keep = interval, count, keep
        self._run = (interval == "epoch", steps_per_epoch, tokens_per_step)
        self.steps: int = _core.run_length(steps, None, *self._run)
        self._targets = Targets(self.optimizer, schedules, setters, self.steps, self._run)
        self._plateau = plateau
        for name in () if plateau is None else plateau.hypers:
            if name not in self._targets.own:
                message = (
                    f"`plateau` must be of hyper-parameters with a schedule of their own, got "
                    f"{name!r}; there are {sorted(self._targets.own)}"
                )
                raise KeyError(message)
        self._watched = None if plateau is None else plateau.fresh()
        self._cooldown: dict[str, Any] | None = None
        self._contained = False
        self._asked = False
        self._active = self.names
        self._loaded = start_step is not None
        self._trained = _has_state(self.optimizer)
        self._warned: set[str] = set()
        # An optimizer that moves its scheduler keeps it alive.
        by_optimizer = count == "optimizer"
        attend = self._attend if by_optimizer else _weak(self._attend, needed=True)
        self._stepper = _core.Stepper(self.optimizer, attend, by_optimizer)
        self._lay()
        self._check_alone()
        self._check_values()
        restore = hypers.keep(self.optimizer, keep_value)
        try:
            self._take_groups()
            self._move(start)
        except BaseException:
            restore()
            raise
        if type(self).step is Scheduler.step:
            # The compiled method itself: one call less at every step.
            self.__dict__["step"] = self._stepper.step
        self._hook()
        _SCHEDULERS.setdefault(self.optimizer, weakref.WeakSet()).add(self)

    # Laying the schedules on the steps.

    def _laid(self, name: str, *, layers: bool = True) -> list[tuple[_core.Laid, list[int]]]:
        """Return what gives the values of a hyper-parameter, with the indices of its groups."""
        if name in self._targets.setters:
            return [(self._laid_part(name, 0, 1.0, layers=layers), [0])]
        found = []
        for number, (schedule, indices) in enumerate(self._targets.told(name)):
            if isinstance(schedule, Schedule):
                found.append((self._laid_part(name, number, 1.0, layers=layers), indices))
                continue
            for source, (followed, others) in enumerate(self._targets.told(schedule.name)):
                shared = [index for index in others if index in indices]
                laid = self._laid_part(schedule.name, source, schedule.times, layers=layers)
                if shared != others and laid.groups is not None:
                    message = (
                        f"`schedules[{name!r}]` can be tied to {followed!r}, which has one value "
                        "per group, in all groups alone"
                    )
                    raise ValueError(message)
                found.append((laid, shared))
        return found

    def _laid_part(self, name: str, number: int, times: float, *, layers: bool) -> _core.Laid:
        """Return what gives the values of one schedule of a hyper-parameter, times a constant."""
        cooldown = self._cooldown
        if layers and cooldown is not None and name in cooldown["schedules"]:
            schedule = cooldown["schedules"][name][number]
            return _core.Laid(schedule, cooldown["steps"], cooldown["begin"], times=times)
        factor, floor = self._factor(name) if layers else (1.0, 0.0)
        schedule = self._targets.schedule(name, number)
        return _core.Laid(schedule, self.steps, 0, factor, floor, times)

    def _factor(self, name: str) -> tuple[float, float]:
        """Return the plateau's factor of a hyper-parameter, and where its effect ends."""
        if self._plateau is None or self._watched is None or name not in self._plateau.hypers:
            return 1.0, 0.0
        return self._watched.state[0], self._plateau.min_lr

    def _lay(self, only: Sequence[str] | None = None) -> None:
        """Plan what every step writes, for the groups the optimizer has now."""
        groups = self.optimizer.param_groups
        self._targets.look()
        names = [name for name in self.names if only is None or name in only]
        lines = []
        plan = {name: self._laid(name) for name in self.names}
        # Whose every value is: of a group, at a place.
        owners: dict[tuple[int, tuple[str, int | None]], str] = {}
        for name in names:
            if name in self._targets.setters:
                continue
            for laid, indices in plan[name]:
                places = {index: hypers.locate(groups[index], name) for index in indices}
                for index, place in places.items():
                    hypers.check_number(groups[index], name, place)
                    owner = owners.setdefault((index, place), name)
                    if owner != name:
                        message = (
                            f"`schedules` gives group {index} two schedules of one value: "
                            f"{owner!r} and {name!r} are the same there"
                        )
                        raise ValueError(message)
                if laid.groups is not None and len(set(places.values())) > 1:
                    message = f"`{name}` must be at the same place in all groups, got {places}"
                    raise ValueError(message)
                for place in dict.fromkeys(places.values()):
                    chosen = [index for index in indices if places[index] == place]
                    lines.append((laid, *place, chosen))
        self._setting = [
            (set_value, laid)
            for name, set_value in self._targets.setters.items()
            if name in names
            for laid, _ in plan[name]
        ]
        if only is None:
            self._owners = owners
        self._plan = plan
        if "end" not in self._warned:
            self._stepper.end = self._total
        self._stepper.lay(groups, lines, bool(self._setting))

    def _take_groups(self) -> None:
        """Make groups that are new, or were loaded, ready: each with tensors of its own."""
        hypers.separate(self.optimizer, shared=True)
        hypers.remember_initial(self.optimizer)

    @property
    def _total(self) -> int:
        """Steps until the end: of the training, or of a cooldown."""
        cooldown = self._cooldown
        return self.steps if cooldown is None else cooldown["begin"] + cooldown["steps"]

    def _check_values(self) -> None:
        """Raise ValueError where a value would be one that torch's optimizers refuse."""
        groups = self.optimizer.param_groups
        for name in self.names:
            if name in self._targets.setters:
                continue
            for laid, indices in self._laid(name):
                key = hypers.locate(groups[indices[0]], name)[0] if indices else name
                every = max(self._total // _LOOKS, 1)
                values = np.append(laid.values(0, self._total, every), laid.at(self._total))
                check_range(name, key, values, "its schedule")

    @property
    def names(self) -> list[str]:
        """The hyper-parameters that are scheduled."""
        return self._targets.names

    # Moving.

    def remember(self) -> Callable[[], None]:
        """Remember where the scheduler is; the result puts it back there, and lets it go on.

        It writes nothing: the values in the groups are the optimizer's.
        """
        names = (
            "_contained", "_asked", "_active", "_loaded", "_trained", "_watched", "_cooldown",
        )  # fmt: skip
        held = {name: getattr(self, name) for name in names}
        paused, step = self._stepper.paused, self._stepper.current

        def back() -> None:
            if any(getattr(self, name) is not value for name, value in held.items()):
                vars(self).update(held)
                self._lay()
            if self._stepper.current != step:
                self._stepper.current = step
            self._stepper.paused = paused

        return back

    def pause(self) -> None:
        """Stand still until what `remember` returned is called.

        For what trains beside the training, such as a sweep: nothing is written, counted or warned
        of, whatever is called and however often the optimizer steps.

        Example:
            >>> import torch
            >>> from lehr import SchedLin
            >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
            >>> scheduler = Scheduler(optimizer, {"lr": SchedLin(0.5, 0)}, 10)
            >>> back = scheduler.remember()
            >>> scheduler.pause()
            >>> scheduler.step()
            >>> back()
            >>> scheduler.last_epoch
            0
        """
        self._stepper.paused = True

    def _move(self, step: int) -> None:
        """Go to a step and write its values, all or none."""
        if self._stepper.paused:
            return
        stepper, before = self._stepper, self._stepper.current
        if stepper.stale:
            self._lay()
            self._take_groups()
        restore = hypers.keep(self.optimizer, keep_value)
        done = []
        try:
            stepper.write(step)
            for set_value, laid in self._setting:
                done.append((set_value, laid))
                set_value(_one_or_list(laid.at(max(step, 0))))
        except BaseException:
            restore()
            for set_value, laid in done[:-1]:
                set_value(_one_or_list(laid.at(max(before, 0))))
            raise
        stepper.current = step

    def _move_active(self, step: int) -> None:
        """Go to a step, and write the values of the hyper-parameters that are in force."""
        self._lay(self._active)
        try:
            self._move(step)
        finally:
            self._lay()

    def apply(self) -> None:
        """Write the values of the current step again: after groups were added or changed by hand.

        Example:
            >>> import torch
            >>> from lehr import SchedLin
            >>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
            >>> optimizer = torch.optim.SGD(a.parameters(), lr=1.0)
            >>> scheduler = Scheduler(optimizer, {"lr": SchedLin(0.5, 0)}, 10)
            >>> optimizer.add_param_group({"params": list(b.parameters())})
            >>> scheduler.apply()
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.5, 0.5]
        """
        self._lay()
        self._move(self._stepper.current)

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step and write its values; call it after the optimizer's step.

        With `count="optimizer"` this does nothing: the optimizer's own steps are counted.

        Args:
            epoch: A step to go to instead of the next.

        Raises:
            KeyError: A group of the optimizer no longer has a hyper-parameter.
            TypeError: `epoch` is no integer.
            ValueError: The optimizer has another number of groups than values were given for.
        """
        self._stepper.step(epoch)

    def observe(self, metric: Any) -> bool:
        """Tell the plateau the metric of a validation; return whether its factor fell.

        A factor that fell is in force from the next optimizer step on. A cooldown ends the
        plateau's part: then nothing is changed, and `False` returned.

        In several processes, give every one the same metric, reduced over them all.

        Args:
            metric: A number, or a tensor of one. What is not finite is no improvement.

        Raises:
            TypeError: `metric` is no number.
            ValueError: The scheduler has no `plateau`.
        """
        if self._watched is None:
            message = "`observe` needs a scheduler made with `plateau=lehr.Plateau(...)`"
            raise ValueError(message)
        if isinstance(metric, str) or not hasattr(metric, "__float__"):
            message = f"`metric` must be a number, got {metric!r}"
            raise TypeError(message)
        if self._cooldown is not None or self._stepper.paused:
            return False
        before = self._watched.state
        try:
            fell = self._watched.observe(float(metric))
            if fell:
                self._write_again()
        except BaseException:
            self._watched.state = before
            self._lay()
            raise
        return fell

    def _write_again(self) -> None:
        """Write what a layer has changed, but in a container only where it is in force."""
        if self._contained:
            self._active = self._in_force()
        self._move_active(self._stepper.current)

    def cooldown(
        self,
        steps: int | str,
        end: float = 0.0,
        shape: Callable[[Any, Any], Schedule] = SchedLin,
        hypers: Sequence[str] = ("lr",),
    ) -> None:
        """Leave the schedule here, and go from the values in force to `end`.

        The training then ends `steps` from here. What is tied follows; other hyper-parameters keep
        their schedules. The state of a scheduler in its cooldown holds it.

        Args:
            steps: Length of the cooldown, in steps or as a length; a share is one of the run.
            end: Value at its end.
            shape: Makes the schedule from the values in force and the end: `SchedLin`, `SchedCos`,
                `SchedExp`, or any function of the two.
            hypers: The hyper-parameters that cool down.

        Raises:
            KeyError: One of them has no schedule of its own.
            ValueError: `steps` is no length, or a cooldown has begun.

        Example:
            >>> import torch
            >>> from lehr import SchedNo
            >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
            >>> scheduler = Scheduler(optimizer, {"lr": SchedNo(1.0, 1.0)}, 1000)
            >>> scheduler.cooldown(4)
            >>> scheduler.preview()["lr"].tolist()
            [1.0, 0.75, 0.5, 0.25]
        """
        if self._cooldown is not None:
            message = f"a cooldown has begun at step {self._cooldown['begin']}"
            raise ValueError(message)
        names = as_names(hypers)
        for name in names:
            if name not in self._targets.own:
                message = (
                    f"`hypers` must hold hyper-parameters with a schedule of their own, got "
                    f"{name!r}; there are {sorted(self._targets.own)}"
                )
                raise KeyError(message)
        if self._contained and not {*names} <= {*self._in_force()}:
            message = f"`cooldown` needs {list(names)} in force: another scheduler is at work"
            raise ValueError(message)
        length = _core.run_length(steps, self.steps, *self._run)
        begin = max(self._stepper.current, 0)
        schedules = {
            name: [shape(_one_or_list(laid.at(begin)), end) for laid, _ in self._laid(name)]
            for name in names
        }
        for name, each in schedules.items():
            for one, (laid, _) in zip(each, self._laid(name), strict=True):
                if not isinstance(one, Schedule):
                    message = f"`shape` must return a lehr.Schedule, got {one!r}"
                    raise TypeError(message)
                if one.groups not in (None, 1, laid.groups):
                    message = (
                        f"`end` must be one number, or as many as `{name}` has values "
                        f"({laid.groups or 1}), got a schedule of {one.groups} values"
                    )
                    raise ValueError(message)
                one.to_json()  # raises TypeError where a function in it could not be saved
        self._cooldown = {"begin": begin, "steps": length, "schedules": schedules}
        try:
            self._check_values()
            self._write_again()
        except BaseException:
            self._cooldown = None
            self._lay()
            raise

    # Looking.

    def preview(self, steps: int | None = None, every: int = 1) -> dict[str, NDArray[np.float64]]:
        """Return the values of every step, without touching the optimizer.

        What is behind is as the schedules have it, what is to come with the plateau's factor and
        the cooldown as they are now.

        Args:
            steps: Steps to look at, the whole training by default.
            every: Look at every so manieth step.

        Returns:
            For each hyper-parameter `(steps,)` values where all groups have the same, else
            `(steps, groups)`, NaN where a group has no schedule.
        """
        total = self._total if steps is None else _core.run_length(steps, None, *self._run)
        every = integer(every, "every")
        if every < 1:
            message = f"`every` must be at least 1, got {every}"
            raise ValueError(message)
        return {name: self._curve(name, total, every) for name in self.names}

    def _curve(self, name: str, total: int, every: int) -> NDArray[np.float64]:
        now = max(self._stepper.current, 0)
        if self._cooldown is not None:
            now = self._cooldown["begin"]
        # The first step looked at from now on.
        split = min(-(-now // every) * every, total)
        columns: dict[int, NDArray[np.float64]] = {}
        for (bare, indices), (laid, _) in zip(
            self._laid(name, layers=False), self._laid(name), strict=True
        ):
            values = np.concatenate(
                [bare.values(0, split, every), laid.values(split, total, every)]
            )
            values = values.reshape(-1, bare.groups or 1)
            if name in self._targets.setters:
                return values[:, 0] if bare.groups is None else values
            for i, index in enumerate(indices):
                columns[index] = values[:, i % values.shape[1]]
        groups = range(len(self.optimizer.param_groups))
        first = columns[min(columns)] if columns else np.full(-(-total // every), np.nan)
        if all(g in columns and np.array_equal(columns[g], first) for g in groups):
            return first.copy()
        missing = np.full(len(first), np.nan)
        return np.stack([columns.get(g, missing) for g in groups], axis=1)

    def plot(self, figsize: tuple[float, float] | None = None) -> Figure:
        """Draw `preview()`: one picture per hyper-parameter, one line per group.

        Args:
            figsize: Width and height of the figure in inches.

        Returns:
            The figure (needs matplotlib).
        """
        from lehr import plotting

        every = max(self._total // _POINTS, 1)
        label = "epoch" if self.interval == "epoch" else "optimizer step"
        curves = {
            name: curve.reshape(len(curve), -1) for name, curve in self.preview(every=every).items()
        }
        names = [group.get("name") for group in self.optimizer.param_groups]
        return plotting.plot_hypers(curves, figsize, every=every, xlabel=label, names=names)

    def last_values(self) -> dict[str, list[float]]:
        """Return the values in force, by hyper-parameter: one per group, for a log.

        They are computed, not read from the groups, so tensors on a GPU are not waited for. A group
        without a schedule has NaN.
        """
        step = max(self._stepper.current, 0)
        if self._stepper.stale:
            self._lay()
        found = {}
        for name in self.names:
            groups = len(self.optimizer.param_groups)
            values = [float("nan")] * groups
            for laid, indices in self._plan[name]:
                now = laid.at(step)
                if name in self._targets.setters:
                    values = now
                    break
                for i, index in enumerate(indices):
                    values[index] = now[i % len(now)]
            found[name] = values
        return found

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Return the state: numbers, strings, lists and dictionaries, as `weights_only` loads.

        `step` and `fingerprint` (which tells the schedules and the length); `plateau` and
        `cooldown` where there is one; `active`, the names in force, in a container of schedulers.
        """
        step = self._stepper.current
        if self._stepper.fresh == 1 and not self._contained and self.interval == "step":
            # Saved between the optimizer's step and this one's: what comes next is the next step.
            step += 1
        return self._state(step)

    def _state(self, step: int) -> dict[str, Any]:
        state: dict[str, Any] = {
            "step": step,
            "fingerprint": self._fingerprint(),
        }
        if self._watched is not None:
            state["plateau"] = list(self._watched.state)
        if self._cooldown is not None:
            state["cooldown"] = {
                "begin": self._cooldown["begin"],
                "steps": self._cooldown["steps"],
                "schedules": {
                    name: [one.to_json() for one in schedules]
                    for name, schedules in self._cooldown["schedules"].items()
                },
            }
        if self._contained:
            state["active"] = self._in_force()
        return state

    def _fingerprint(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "interval": self.interval,
            "plateau": None if self._plateau is None else self._plateau.settings,
            "schedules": self._targets.prints(),
        }

    def _check_same(self, then: dict[str, Any]) -> None:
        """Raise ValueError where a state is of another training than this."""
        now = self._fingerprint()
        for what in ("interval", "plateau"):
            if then.get(what) != now[what]:
                message = (
                    f"`{what}` must be as when the training began, {then.get(what)!r}, "
                    f"got {now[what]!r}: {HINT}"
                )
                raise ValueError(message)
        self._targets.check_same(then)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, and write its values.

        Args:
            state_dict: What `state_dict` returned.

        Raises:
            ValueError: It is no such state; or its schedules or its length are others than here,
                and the scheduler was not made with `keep`. The message shows the first step that
                differs. Nothing is changed then.
        """
        step, fingerprint_then = _checked_state(state_dict)
        then = fingerprint_then["steps"]
        if "plateau" in state_dict and self._plateau is None:
            message = "the state has a plateau, this scheduler none: make it with `plateau=`"
            raise ValueError(message)
        if self._keep is None:
            self._check_same(fingerprint_then)
        elif self._keep == "fraction" and step > 0 and "cooldown" not in state_dict:
            step = _core.carried_step(step, then, self.steps)
        cooldown = self._read_cooldown(state_dict.get("cooldown"))
        watched = None if self._plateau is None else self._plateau.fresh()
        if watched is not None and "plateau" in state_dict:
            try:
                watched.state = tuple(state_dict["plateau"])
            except (TypeError, ValueError, OverflowError) as error:
                message = (
                    "the `plateau` of the state must be what `state_dict` returned, got "
                    f"{state_dict['plateau']!r}"
                )
                raise ValueError(message) from error
        unknown = {*state_dict.get("active", [])} - {*self.names}
        if unknown:
            message = f"the state has {sorted(unknown)} in force, which are not scheduled here"
            raise ValueError(message)
        before = self._watched, self._cooldown, self._active
        self._watched, self._cooldown = watched, cooldown
        self._active = state_dict.get("active", self.names)
        try:
            if cooldown is not None:
                self._check_values()
            self._move_active(step)
        except BaseException:
            self._watched, self._cooldown, self._active = before
            self._lay()
            raise
        self._contained = self._contained or "active" in state_dict
        self._loaded = True

    def _read_cooldown(self, state: Any) -> dict[str, Any] | None:
        if state is None:
            return None
        try:
            schedules = {
                name: [Schedule.from_json(text) for text in texts]
                for name, texts in state["schedules"].items()
            }
            parts = self._targets.parts
            fits = all(
                name in self._targets.own
                and len(parts[name]) == len(each)
                and all(
                    one.groups in (None, 1, self._targets.schedule(name, number).groups)
                    for number, one in enumerate(each)
                )
                for name, each in schedules.items()
            )
            begin = _step_number(state["begin"], "begin")
            steps = _step_number(state["steps"], "steps")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"the `cooldown` of the state must be what `state_dict` returned, got {state}"
            raise ValueError(message) from error
        if not fits or steps < 1:
            message = f"the `cooldown` of the state does not fit the schedules here, got {state}"
            raise ValueError(message)
        return {"begin": begin, "steps": steps, "schedules": schedules}

    def _in_force(self) -> list[str]:
        """Return the names whose values the groups hold: in a container others may be at work."""
        groups = self.optimizer.param_groups
        return [
            name
            for name, values in self.last_values().items()
            if self._stepper.current >= 0
            and (
                name in self._targets.setters
                or all(
                    np.isnan(value) or hypers.holds(group, name, value)
                    for group, value in zip(groups, values, strict=True)
                )
            )
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _remake,
            (type(self), self.optimizer, self._arguments),
            self._state(self._stepper.current),
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state)

    # Hooks.

    def _hook(self) -> None:
        """Hear of the optimizer's steps, and of states that it loads."""
        optimizer = self.optimizer
        self._handles = [
            optimizer.register_step_post_hook(self._stepper.took),
            optimizer.register_load_state_dict_pre_hook(_weak(self._before_optimizer_load)),
            optimizer.register_load_state_dict_post_hook(_weak(self._after_optimizer_load)),
        ]
        if self.count == "calls":
            # The optimizer outlives its schedulers.
            weakref.finalize(self, _remove, self._handles).atexit = False

    def _before_optimizer_load(self, _optimizer: Any, _state: Any) -> None:
        if self._contained:
            self._active = self._in_force()

    def _after_optimizer_load(self, _optimizer: Any) -> None:
        """Write the values again: the optimizer has those it was saved with (rule 21)."""
        self._trained = self._trained or _has_state(self.optimizer)
        self._take_groups()
        # A child of a container that has yet to be told its step cannot know whose turn it is.
        waits = self._contained and not self._loaded and self._stepper.current <= 0
        if not waits:
            self._move_active(self._stepper.current)

    def detach(self) -> None:
        """Let go of the optimizer: its steps are no longer counted, nor its loading seen."""
        _remove(self._handles)
        self._stepper.watch(False)
        _SCHEDULERS.get(self.optimizer, weakref.WeakSet()).discard(self)

    def _check_alone(self) -> None:
        """Refuse two schedulers of one value of a group of which one moves by itself (rule 22)."""
        for other in list(_SCHEDULERS.get(self.optimizer, ())):
            places = self._owners.keys() & other._owners.keys()  # noqa: SLF001 (of this class)
            shared = {self._owners[place] for place in places}
            if shared and "optimizer" in (self.count, other.count):
                message = (
                    f"{sorted(shared)} of this optimizer have another Scheduler, and "
                    '`count="optimizer"` would have both write at every step: call its `detach()`'
                )
                raise ValueError(message)

    def _attend(self, what: str, value: Any) -> bool | None:
        """Do what a step needs beyond writing, or answer what the stepper asks."""
        if what == "still":
            return _stands_still(self.optimizer)
        if what == "move":
            self._move(value)
        elif what == "end":
            self._stepper.end = _FAR
            # A container says itself when a child ends.
            if not self._contained:
                unit = "epochs" if self.interval == "epoch" else "steps of the optimizer"
                self._warn(
                    "end",
                    f"the schedules ended after {self._total} steps, and the optimizer goes on at "
                    f"their last values: `steps` is the length of the whole training, in {unit}",
                )
        elif what == "others":
            self._warn(
                "others",
                "a value was changed since the last step by something else than the Scheduler, "
                "which has written its own over it: one hyper-parameter cannot have two "
                "schedulers that multiply, such as ChainedScheduler's or ReduceLROnPlateau",
            )
        elif what == "epoch":
            self._move(_step_number(value, "epoch"))
        else:
            self._watch(value)
        return None

    def _watch(self, fresh: int) -> None:
        """Warn of what would train at the wrong values (rule 23)."""
        if self._stepper.current == 0 and self._trained and not self._loaded:
            self._warn(
                "trained",
                "the optimizer has been trained, and its Scheduler begins at step 0: load the "
                "scheduler's state, or give `start_step`",
            )
        if fresh > 1 and self.interval == "step":
            self._warn(
                "many",
                f"the optimizer took {fresh} steps and `step()` was called once: call it after "
                'every step, or say `interval="epoch"` where it is called once an epoch',
            )
        if fresh == 0 and self._stepper.current >= 0:
            self._warn(
                "none",
                "`step()` was called and the optimizer had taken no step since: call it after "
                "`optimizer.step()`. Where a scaler skips steps, or a wrapper calls `step()` for "
                'every process, `count="optimizer"` counts the steps that were taken, and `steps` '
                "are those of one process",
            )
        self._stepper.watch(len(self._warned & {"many", "none"}) < 2)  # noqa: PLR2004

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            # The caller of `step`, which is compiled.
            warnings.warn(message, stacklevel=5)

    # What hosts and containers of torch touch (rule 21).

    @property
    def last_epoch(self) -> int:
        """The step whose values are in force; setting it goes there."""
        return self._stepper.current

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        self._driven()
        if integer(step, "last_epoch") < 0:
            # Undone by a container: not begun, and nothing of it in force.
            self._stepper.current = -1
        elif self._asked:
            self._stepper.current = _step_number(step, "last_epoch")
        else:
            self._move(_step_number(step, "last_epoch"))
        self._asked = False

    @property
    def _get_lr_called_within_step(self) -> bool:
        return self._asked

    @_get_lr_called_within_step.setter
    def _get_lr_called_within_step(self, asked: bool) -> None:
        """Write the values of the step: ignite is about to write its rate and to count on.

        It says so before it calls `get_lr`, at the beginning of an iteration, and never calls
        `step`. What it sets `last_epoch` to is then the step of the next iteration.
        """
        if asked:
            self._driven()
            self._move(self._stepper.current)
            self._asked = True

    def _driven(self) -> None:
        if self.count == "optimizer":
            message = (
                'a Scheduler with `count="optimizer"` moves by itself: what calls its steps, such '
                'as SequentialLR or ignite, needs `count="calls"`'
            )
            raise ValueError(message)
        self._contained = True

    def _initial_step(self) -> None:
        self._driven()
        self._move(0)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._driven()
        self._move(self._stepper.current + 1 if epoch is None else _step_number(epoch, "epoch"))

    @property
    def _step_count(self) -> int:
        return self._stepper.current + 1

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        """Accept what hosts count for torch's schedulers: here the step says it."""

    @property
    def _last_lr(self) -> list[float | torch.Tensor]:
        return self.get_lr()

    @_last_lr.setter
    def _last_lr(self, rates: Any) -> None:
        """Accept what containers keep of torch's schedulers: here the step says it."""

    @property
    def base_lrs(self) -> list[float | torch.Tensor]:
        """The rates the optimizer was made with, one per group, as torch has them."""
        groups = self.optimizer.param_groups
        return [group.get("initial_lr", group["lr"]) for group in groups if "lr" in group]

    @base_lrs.setter
    def base_lrs(self, rates: Any) -> None:
        """Accept what hosts set for torch's schedulers: here the schedules say it."""

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rates of the current step, one per group."""
        groups = self.optimizer.param_groups
        if "lr" not in self.names:
            return [hypers.read(group, "lr") for group in groups]
        rates = self.last_values()["lr"]
        return [
            hypers.read(group, "lr") if np.isnan(rate) else rate
            for group, rate in zip(groups, rates, strict=True)
        ]

    def get_last_lr(self) -> list[float | torch.Tensor]:
        """Return the learning rates in force, one per group."""
        return self.get_lr()

    def __repr__(self) -> str:
        return (
            f"Scheduler({type(self.optimizer).__name__}, {self.names}, "
            f"step {self._stepper.current} of {self.steps})"
        )


def check_range(name: str, key: str, values: NDArray[np.float64], where: str) -> None:
    """Raise ValueError where values of a torch key are such as torch's optimizers refuse."""
    if key not in ("lr", "momentum", "weight_decay", "eps", "betas"):
        return
    if (values < 0).any():
        message = f"`{name}` must be at least 0, got {values.min()} in {where}"
        raise ValueError(message)
    if key == "betas" and (values >= 1).any():
        message = f"`{name}` must be below 1, got {values.max()} in {where}"
        raise ValueError(message)


def schedulers_of(optimizer: torch.optim.Optimizer) -> list[Scheduler]:
    """Return the Schedulers of an optimizer."""
    return list(_SCHEDULERS.get(optimizer, ()))


def _checked_state(state: Any) -> tuple[int, dict[str, Any]]:
    """Return the step and the fingerprint of a state, or raise ValueError."""
    wanted = "`state_dict` must be what the `state_dict()` of a lehr.Scheduler returned"
    if not isinstance(state, Mapping) or not {"step", "fingerprint"} <= state.keys():
        message = f"{wanted}, got {state!r:.200}"
        if isinstance(state, Mapping) and "last_epoch" in state:
            message += ": a torch scheduler's step is its `last_epoch`, give it as `start_step`"
        raise ValueError(message)
    step, then = state["step"], state["fingerprint"]
    fits = (
        isinstance(step, int)
        and not isinstance(step, bool)
        and -1 <= step <= _FAR
        and isinstance(then, Mapping)
        and isinstance(then.get("steps"), int)
        and 1 <= then["steps"] <= _FAR
        and isinstance(then.get("schedules"), Mapping)
    )
    if not fits:
        message = f"{wanted}, got step {step!r} and fingerprint {then!r:.200}"
        raise ValueError(message)
    active = state.get("active", [])
    if not (isinstance(active, list) and all(isinstance(name, str) for name in active)):
        message = f"{wanted}, got active {active!r}"
        raise ValueError(message)
    return step, dict(then)


def _step_number(value: Any, name: str) -> int:
    """Return an argument that is a step: an integer, and one that a float64 can tell."""
    step = integer(value, name)
    if not 0 <= step <= _FAR:
        message = f"`{name}` must be at least 0, and at most 2^53, got {value}"
        raise ValueError(message)
    return step


def _stands_still(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step moves nothing by its rates and gradients: torch's checkpoints take such ones.

    Only asked where the first rate is no float above 0. Tensors elsewhere than on the CPU are not
    waited for.
    """
    for group in optimizer.param_groups:
        rate = group.get("lr")
        elsewhere = isinstance(rate, torch.Tensor) and rate.device.type != "cpu"
        if elsewhere or rate is None or rate != 0:
            return False
    grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
    given = [grad for grad in grads if grad is not None]
    return bool(given) and not any(bool(grad.any()) for grad in given)


def _has_state(optimizer: torch.optim.Optimizer) -> bool:
    return any(len(state) > 0 for state in optimizer.state.values())


def _one_or_list(values: list[float]) -> Any:
    return values[0] if len(values) == 1 else values


def _weak(method: Callable[..., Any], *, needed: bool = False) -> Callable[..., Any]:
    """Return a function that calls a method while its object lives, and does not keep it alive.

    Where the method is needed it raises ReferenceError once the object is gone.
    """
    ref = weakref.WeakMethod(method)

    def call(*args: Any) -> Any:
        bound = ref()
        if bound is not None:
            return bound(*args)
        if needed:
            message = "the Scheduler is gone: keep it, not only its `step`"
            raise ReferenceError(message)
        return None

    return call


def _remove(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()


def _remake(
    kind: type[Scheduler], optimizer: torch.optim.Optimizer, arguments: dict[str, Any]
) -> Scheduler:
    """Make a scheduler anew, from a pickle."""
    return kind(optimizer, **arguments)
