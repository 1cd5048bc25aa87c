"""Which hyper-parameters of which groups a Scheduler writes, by which schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lehr import PhaseSpec, Schedule, Tied, _core, combine_scheds
from lehr.fingerprint import check_same, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class _Part(NamedTuple):
    """A schedule, and what tells the groups it is for."""

    selector: Any
    schedule: Schedule

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
            raise TypeError(message)
        self.setters = _checked_setters(setters, schedules)
        self.parts: dict[str, list[_Part]] = {}
        self.ties: dict[str, Tied] = {}
        # Hyper-parameters that have one value per group, and how many.
        self._counts: dict[str, int] = {}
        for name, given in schedules.items():
            if not isinstance(name, str):
                message = f"`schedules` must have names of hyper-parameters as keys, got {name!r}"
                raise TypeError(message)
            if isinstance(given, Tied):
                self.ties[name] = given
            else:
                self.parts[name] = self._read(name, given)
        for name, tie in self.ties.items():
            if tie.name not in self.parts:
                message = (
                    f"`schedules[{name!r}]` is tied to {tie.name!r}, which must have a schedule of "
                    f"its own; there are {sorted(self.parts)}"
                )
                raise KeyError(message)
            if tie.name in self.setters:
                message = (
                    f"`schedules[{name!r}]` cannot be tied to {tie.name!r}, which has a setter"
                )
                raise ValueError(message)

    @property
    def names(self) -> list[str]:
        """The hyper-parameters."""
        return [*self.parts, *self.ties]

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
            if schedule.groups is not None:
                self._counts[name] = schedule.groups
            return [_Part(None, schedule)]
        for part in parts:
            if part.schedule.groups not in (None, 1):
                message = (
                    f"`{shown}` must give one value to each group, got a schedule of "
                    f"{part.schedule.groups} for {part.label}"
                )
                raise ValueError(message)
        return parts

    def _schedule(self, shown: str, given: Any) -> Schedule:
        if isinstance(given, Schedule):
            return given
        if isinstance(given, PhaseSpec):
            try:
                return _core.combine_lengths(given.lengths, given.scheds, self.steps, *self._run)
            except ValueError as error:
                error.add_note(f"in `{shown}`")
                raise
        if callable(given):
            return combine_scheds([1], [given])
        message = (
            f"`{shown}` must be a schedule, a PhaseSpec, a function of the position, a list or a "
            f"mapping of those, or Tied, got {given!r}"
        )
        raise TypeError(message)

    def _groups(self, name: str, selector: Any) -> list[int]:
        """Return the indices of the groups that a selector of `name` tells."""
        groups = self.optimizer.param_groups
        if selector is None:
            return list(range(len(groups)))
        if selector is ...:
            others = [p.selector for p in self.parts[name] if p.selector is not ...]
            taken = {index for other in others for index in self._groups(name, other)}
            return [index for index in range(len(groups)) if index not in taken]
        if isinstance(selector, int):
            found = [selector] if 0 <= selector < len(groups) else []
        elif isinstance(selector, str):
            found = [i for i, group in enumerate(groups) if group.get("name") == selector]
        else:
            return [i for i, group in enumerate(groups) if selector(group)]
        if not found:
            names = [group["name"] for group in groups if "name" in group]
            message = (
                f"`schedules[{name!r}]` has a schedule for group {selector!r}, which the optimizer "
                f"has not: it has {len(groups)} groups, named {names}"
            )
            raise KeyError(message)
        return found

    def told(self, name: str) -> list[tuple[Schedule, list[int]]]:
        """Return the schedules of a hyper-parameter, each with the indices of its groups."""
        groups = len(self.optimizer.param_groups)
        if self._counts.get(name, groups) != groups:
            message = (
                f"`schedules[{name!r}]` gives {self._counts[name]} groups a value each, the "
                f"optimizer has {groups}"
            )
            raise ValueError(message)
        told = [(part.schedule, self._groups(name, part.selector)) for part in self.parts[name]]
        seen: set[int] = set()
        for (_, indices), part in zip(told, self.parts[name], strict=True):
            if seen & set(indices):
                message = (
                    f"`schedules[{name!r}]` gives group {min(seen & set(indices))} more than one "
                    f"schedule, the last by {part.label}"
                )
                raise ValueError(message)
            seen |= set(indices)
        return told

    def prints(self) -> dict[str, Any]:
        """Return the fingerprint of each hyper-parameter."""
        prints: dict[str, Any] = {
            name: fingerprint(parts[0].schedule)
            if parts[0].selector is None
            else [[part.label, fingerprint(part.schedule)] for part in parts]
            for name, parts in self.parts.items()
        }
        return prints | {name: {"tied": t.name, "times": t.times} for name, t in self.ties.items()}

    def check_same(self, then: dict[str, Any]) -> None:
        """Raise ValueError where the schedules of a state are others than here."""
        now = self.prints()
        before = then["schedules"]
        hint = 'give the schedules and `steps` as before, or say `keep="step"` or "fraction"'
        if now.keys() != before.keys():
            message = (
                f"`schedules` must schedule {sorted(before)} as in the state, got {sorted(now)}: "
                + hint
            )
            raise ValueError(message)
        try:
            for name in now:
                _check_parts(name, before[name], now[name], self.steps, then["steps"])
        except ValueError as error:
            message = f"{error}: {hint}"
            raise ValueError(message) from None
        except (KeyError, IndexError, TypeError) as error:
            message = f"the `fingerprint` of the state is damaged, got {then!r:.200}"
            raise ValueError(message) from error


def _checked_setters(
    setters: Mapping[str, Callable[[Any], Any]] | None, schedules: Any
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
    return setters


def _check_parts(name: str, before: Any, now: Any, steps: int, steps_before: int) -> None:
    """Compare the fingerprints of one hyper-parameter: of one schedule, of parts, or of a tie."""
    labels = [[part[0] for part in one] if isinstance(one, list) else None for one in (before, now)]
    if labels[0] != labels[1]:
        told = ["all groups" if one is None else ", ".join(one) for one in labels]
        message = (
            f"the schedule of `{name}` is not the one the training began with: it was for "
            f"{told[0]}, and is for {told[1]}"
        )
        raise ValueError(message)
    if labels[0] is not None:
        for (label, then), (_, here) in zip(before, now, strict=True):
            check_same(f"{name}[{label}]", then, here, steps, steps_before)
    elif any(isinstance(one, dict) and "tied" in one for one in (before, now)):
        if before != now:
            message = (
                f"`{name}` is not what it was when the training began: {before} then, {now} now"
            )
            raise ValueError(message)
    else:
        check_same(name, before, now, steps, steps_before)
