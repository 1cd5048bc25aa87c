"""Which hyper-parameters of which groups a Scheduler writes, by which schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lehr import Schedule, Tied, combine_scheds, hypers
from lehr.fingerprint import check_same, fingerprint
from lehr.schedules import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


# What to do about a training that has changed.
HINT = (
    "give the schedules and `steps` as before, or make the scheduler with "
    '`Scheduler(..., keep="step")` or "fraction"'
)


class _Part(NamedTuple):
    """A schedule, or a tie, and what tells the groups it is for."""

    selector: Any
    schedule: Schedule | Tied

    @property
    def label(self) -> str:
        """What stands for the selector in messages and fingerprints."""
        if self.selector is ...:
            return "..."
        return "a predicate" if callable(self.selector) else repr(self.selector)


class Targets:
    """The schedules of a Scheduler, resolved against its run, and what tells their groups.

    Args:
        optimizer: The torch optimizer; its groups are looked at afresh whenever asked.
        schedules: As given to the Scheduler.
        setters: Likewise.
        steps: Length of the training.
        run: Whether a step is an epoch, steps per epoch, tokens per step.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedules: Mapping[str, Any],
        setters: Mapping[str, Callable[[Any], Any]] | None,
        steps: int,
        run: tuple[bool, int | None, float | None],
    ) -> None:
        self.optimizer, self.steps, self._run = optimizer, steps, run
        if not isinstance(schedules, Mapping) or not schedules:
            message = f"`schedules` must map hyper-parameters to schedules, got {schedules!r}"
            if isinstance(schedules, (Schedule, Spec)):
                message += ': for the rate that is `{"lr": schedule}`'
            raise TypeError(message)
        self.setters = _checked_setters(setters, schedules, optimizer)
        self.parts: dict[str, list[_Part]] = {}
        # Hyper-parameters that have one value per group, and how many.
        self._counts: dict[str, int] = {}
        # For each group, told by its parameters: which it was when it was seen first, and which
        # part of every hyper-parameter is for it. Asked later, a predicate would see what the
        # schedules have written.
        self._numbers: dict[Any, int] = {}
        self._chosen: dict[Any, dict[str, int | None]] = {}
        for name, given in schedules.items():
            if not isinstance(name, str):
                message = f"`schedules` must have names of hyper-parameters as keys, got {name!r}"
                raise TypeError(message)
            self.parts[name] = self._read(name, given)
        for name, parts in self.parts.items():
            for part in parts:
                if isinstance(part.schedule, Tied):
                    self._check_tie(name, part.schedule)
        self.look()
        self._check_found()

    @property
    def names(self) -> list[str]:
        """The hyper-parameters."""
        return [*self.parts]

    @property
    def own(self) -> list[str]:
        """The hyper-parameters that are tied to no other."""
        return [
            name
            for name, parts in self.parts.items()
            if not any(isinstance(part.schedule, Tied) for part in parts)
        ]

    def schedule(self, name: str, number: int) -> Schedule:
        """Return one schedule of a hyper-parameter of its own."""
        schedule = self.parts[name][number].schedule
        if isinstance(schedule, Tied):
            message = f"`{name}` is tied to {schedule.name!r}"
            raise TypeError(message)
        return schedule

    def _check_tie(self, name: str, tie: Tied) -> None:
        if tie.name not in self.own:
            message = (
                f"`schedules[{name!r}]` is tied to {tie.name!r}, which must have a schedule of "
                f"its own; there are {sorted(self.own)}"
            )
            raise KeyError(message)
        if tie.name in self.setters:
            message = f"`schedules[{name!r}]` cannot be tied to {tie.name!r}, which has a setter"
            raise ValueError(message)

    def _read(self, name: str, given: Any) -> list[_Part]:
        shown = f"schedules[{name!r}]"
        if isinstance(given, Mapping):
            if not given:
                message = f"`{shown}` must map at least one group to a schedule, got none"
                raise ValueError(message)
            parts = []
            for selector, one in given.items():
                known = isinstance(selector, (int, str)) or selector is ... or callable(selector)
                if not known or isinstance(selector, bool):
                    message = (
                        f"`{shown}` must tell groups by index, name, predicate or `...`, "
                        f"got {selector!r}"
                    )
                    raise TypeError(message)
                parts.append(_Part(selector, self._schedule(f"{shown}[{selector!r}]", one)))
        elif isinstance(given, (list, tuple)):
            self._counts[name] = len(given)
            parts = [_Part(i, self._schedule(f"{shown}[{i}]", one)) for i, one in enumerate(given)]
        else:
            schedule = self._schedule(shown, given)
            if isinstance(schedule, Schedule) and schedule.groups is not None:
                self._counts[name] = schedule.groups
            return [_Part(None, schedule)]
        for part in parts:
            if isinstance(part.schedule, Schedule) and part.schedule.groups not in (None, 1):
                message = (
                    f"`{shown}` must give one value to each group, got a schedule of "
                    f"{part.schedule.groups} for {part.label}"
                )
                raise ValueError(message)
        return parts

    def _schedule(self, shown: str, given: Any) -> Schedule | Tied:
        if isinstance(given, (Schedule, Tied)):
            return given
        if isinstance(given, Spec):
            try:
                return given.resolved(self.steps, self._run)
            except (TypeError, ValueError) as error:
                error.add_note(f"in `{shown}`")
                raise
        if callable(given):
            return combine_scheds([1], [given])
        message = (
            f"`{shown}` must be a schedule, a PhaseSpec, a function of the position, Tied, or a "
            f"list or mapping with one of those a group, got {given!r}; a constant is "
            "`SchedNo(v, v)`"
        )
        raise TypeError(message)

    def look(self) -> None:
        """Tell which schedules are for the groups that were not there before."""
        numbers, chosen = dict(self._numbers), dict(self._chosen)
        for index, group in enumerate(self.optimizer.param_groups):
            key = _key(group, index)
            if key not in numbers:
                numbers[key] = len(numbers)
                chosen[key] = {name: self._choose(name, numbers[key], group) for name in self.parts}
        self._numbers, self._chosen = numbers, chosen

    def _choose(self, name: str, number: int, group: dict[str, Any]) -> int | None:
        """Return which part of a hyper-parameter is for a group."""
        found, rest = [], None
        for index, (selector, _) in enumerate(self.parts[name]):
            if selector is ...:
                rest = index
            elif selector is None or (
                selector(group) if callable(selector) else selector in (number, group.get("name"))
            ):
                found.append(index)
        if len(found) > 1:
            message = (
                f"`schedules[{name!r}]` gives group {number} more than one schedule, the last by "
                f"{self.parts[name][found[-1]].label}"
            )
            raise ValueError(message)
        return found[0] if found else rest

    def _check_found(self) -> None:
        """Raise an error where an index, a name or a predicate tells no group."""
        groups = self.optimizer.param_groups
        for name, parts in self.parts.items():
            if name in self.setters:
                continue
            self._check_count(name)
            told = {chosen[name] for chosen in self._chosen.values()}
            for index, (selector, _) in enumerate(parts):
                if callable(selector) and index not in told:
                    message = (
                        f"`schedules[{name!r}]` has a schedule for the groups of a predicate, "
                        f"{selector!r}, that tells none of the {len(groups)}"
                    )
                    raise ValueError(message)
                if isinstance(selector, (int, str)) and index not in told:
                    names = [group["name"] for group in groups if "name" in group]
                    message = (
                        f"`schedules[{name!r}]` has a schedule for group {selector!r}, which the "
                        f"optimizer has not: it has {len(groups)} groups, named {names}"
                    )
                    raise KeyError(message)

    def _check_count(self, name: str) -> None:
        groups = self.optimizer.param_groups
        count = self._counts.get(name, len(groups))
        numbers = sorted(self._numbers[_key(group, index)] for index, group in enumerate(groups))
        if count != len(groups) or (name in self._counts and numbers != list(range(count))):
            message = (
                f"`schedules[{name!r}]` gives {count} groups a value each, the optimizer has "
                f"{len(groups)}"
            )
            if count == len(groups):
                message += ", which are not those it was made with"
            raise ValueError(message)

    def told(self, name: str) -> list[tuple[Schedule | Tied, list[int]]]:
        """Return the schedules of a hyper-parameter, each with the indices of its groups."""
        self._check_count(name)
        keys = [_key(group, index) for index, group in enumerate(self.optimizer.param_groups)]
        # Values one per group are in the order in which the groups came.
        order = sorted(range(len(keys)), key=lambda index: self._numbers[keys[index]])
        return [
            (part.schedule, [index for index in order if self._chosen[keys[index]][name] == number])
            for number, part in enumerate(self.parts[name])
        ]

    def prints(self) -> dict[str, Any]:
        """Return the fingerprint of each hyper-parameter."""
        prints: dict[str, Any] = {}
        for name, parts in self.parts.items():
            if parts[0].selector is None:
                prints[name] = _print(parts[0].schedule)
            else:
                prints[name] = [
                    [part.label, _print(part.schedule), sorted(indices)]
                    for part, (_, indices) in zip(parts, self.told(name), strict=True)
                ]
        return prints

    def check_same(self, then: dict[str, Any]) -> None:
        """Raise ValueError where the schedules of a state are others than here."""
        now = self.prints()
        before = then["schedules"]
        if now.keys() != before.keys():
            message = (
                f"`schedules` must schedule {sorted(before)} as in the state, got {sorted(now)}: "
                + HINT
            )
            raise ValueError(message)
        try:
            for name in now:
                _check_parts(name, before[name], now[name], self.steps, then["steps"])
        except ValueError as error:
            message = f"{error}: {HINT}"
            raise ValueError(message) from None
        except (KeyError, IndexError, TypeError) as error:
            message = f"the `fingerprint` of the state is damaged, got {then!r:.200}"
            raise ValueError(message) from error


def _key(group: dict[str, Any], index: int) -> Any:
    """Tell a group by its first parameter: its dictionary changes when a state is loaded."""
    params = group["params"]
    return id(params[0]) if params else ("empty", index)


def _print(schedule: Schedule | Tied) -> Any:
    if isinstance(schedule, Tied):
        return {"tied": schedule.name, "times": schedule.times}
    return fingerprint(schedule)


def _checked_setters(
    setters: Mapping[str, Callable[[Any], Any]] | None,
    schedules: Mapping[str, Any],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Callable[[Any], Any]]:
    if not isinstance(setters, (Mapping, type(None))):
        message = f"`setters` must map hyper-parameters to functions, got {setters!r}"
        raise TypeError(message)
    setters = dict(setters or {})
    for name, setter in setters.items():
        if not callable(setter):
            message = f"`setters[{name!r}]` must be a function of the value, got {setter!r}"
            raise TypeError(message)
        given = schedules.get(name)
        if given is None or isinstance(given, (Mapping, list, tuple, Tied)):
            message = f"`setters[{name!r}]` needs one schedule in `schedules`, got {given!r}"
            raise ValueError(message)
        if any(hypers.has(group, name) for group in optimizer.param_groups):
            message = f"`setters[{name!r}]` must be of no key of the optimizer, which has `{name}`"
            raise ValueError(message)
    return setters


def _check_parts(name: str, before: Any, now: Any, steps: int, steps_before: int) -> None:
    """Compare the fingerprints of one hyper-parameter: of one schedule, of parts, or of a tie."""
    told = [
        [(label, groups) for label, _, groups in one] if isinstance(one, list) else "all groups"
        for one in (before, now)
    ]
    if told[0] != told[1]:
        message = (
            f"the schedules of `{name}` are not for the groups the training began with: they were "
            f"for {told[0]}, and are for {told[1]}"
        )
        raise ValueError(message)
    if isinstance(before, list):
        for (label, then, _), (_, here, _) in zip(before, now, strict=True):
            _check_parts(f"{name}[{label}]", then, here, steps, steps_before)
    elif any(isinstance(one, dict) and "tied" in one for one in (before, now)):
        if before != now:
            message = (
                f"`{name}` is not what it was when the training began: {before} then, {now} now"
            )
            raise ValueError(message)
    else:
        check_same(name, before, now, steps, steps_before)
