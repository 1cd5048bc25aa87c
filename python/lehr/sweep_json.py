"""The serialised form of a sweep: `{"version": 1, "sweep": {"lrs": [...], "losses": [...], ...}}`.

JSON has no NaN and no infinity: as a loss, and in a suggestion, they are the strings "NaN",
"Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from typing import Any

from lehr.suggestion import Suggestion
from lehr.sweep import Sweep

VERSION = 1

_FIELDS = {"lrs", "losses", "num_it", "stop", "hyper", "settings", "suggestions", "parts"}
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def dumps(sweep: Sweep) -> str:
    """Return a sweep as JSON that `loads` reads back to an equal one, bit by bit."""
    return json.dumps({"version": VERSION, "sweep": _sweep_out(sweep)}, allow_nan=False)


def loads(text: str | bytes) -> Sweep:
    """Read what `dumps` wrote; anything else is an error.

    Raises:
        TypeError: `text` is no text.
        ValueError: It is no JSON of a sweep, or of another version.
    """
    if not isinstance(text, (str, bytes)):
        message = f"`text` must be a string or bytes, got {text!r}"
        raise TypeError(message)
    try:
        document = json.loads(text, parse_constant=_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        message = f"a sweep cannot be read from this JSON: {error}"
        raise ValueError(message) from error
    if isinstance(document, dict) and document.get("version", VERSION) != VERSION:
        message = f"a sweep of version {document['version']!r} cannot be read, only of {VERSION}"
        raise ValueError(message)
    _check(document, {"version", "sweep"}, "the document")
    try:
        return _sweep_in(document["sweep"], "sweep")
    except TypeError as error:
        raise ValueError(str(error)) from error


def _sweep_out(sweep: Sweep) -> dict[str, Any]:
    return {
        "lrs": sweep.lrs.tolist(),
        "losses": [_out(loss) for loss in sweep.losses.tolist()],
        "num_it": sweep.num_it,
        "stop": sweep.stop,
        "hyper": sweep.hyper,
        "settings": dict(sweep.settings),
        "suggestions": {name: _suggestion_out(one) for name, one in sweep.suggestions.items()},
        "parts": [_sweep_out(part) for part in sweep.parts],
    }


def _sweep_in(data: Any, where: str) -> Sweep:
    _check(data, _FIELDS, f"`{where}`")
    for name in ("lrs", "losses", "parts"):
        _expect(data[name], list, f"{where}.{name}")
    for name in ("settings", "suggestions"):
        _expect(data[name], dict, f"{where}.{name}")
    _expect(data["num_it"], int, f"{where}.num_it")
    sweep = Sweep(
        [_in(one, f"{where}.lrs[{i}]") for i, one in enumerate(data["lrs"])],
        [_in(one, f"{where}.losses[{i}]") for i, one in enumerate(data["losses"])],
        num_it=data["num_it"],
        stop=data["stop"],
        hyper=data["hyper"],
        settings=data["settings"],
        parts=[_sweep_in(part, f"{where}.parts[{i}]") for i, part in enumerate(data["parts"])],
    )
    suggestions = {
        name: _suggestion_in(one, f"{where}.suggestions[{name!r}]")
        for name, one in data["suggestions"].items()
    }
    return sweep.with_suggestions(suggestions) if suggestions else sweep


def _suggestion_out(one: Suggestion) -> dict[str, Any]:
    data = one._asdict()
    for name in ("point", "interval"):
        data[name] = None if data[name] is None else [_out(value) for value in data[name]]
    for name in ("lr", "snr", "agreement"):
        data[name] = _out(data[name])
    data["others"] = {name: _out(value) for name, value in one.others.items()}
    return data


def _suggestion_in(data: Any, where: str) -> Suggestion:
    _check(data, set(Suggestion._fields), f"`{where}`")
    data = dict(data)
    for name in ("reason", "method", "status"):
        _expect(data[name], str, f"{where}.{name}")
    for name in ("point", "interval"):
        if data[name] is not None:
            _expect(data[name], list, f"{where}.{name}")
            if len(data[name]) != 2:  # noqa: PLR2004 (a point, or two ends)
                message = f"`{where}.{name}` must hold two numbers, got {data[name]!r}"
                raise ValueError(message)
            data[name] = tuple(_in(value, f"{where}.{name}") for value in data[name])
    for name in ("lr", "snr", "agreement"):
        data[name] = _in(data[name], f"{where}.{name}")
    _expect(data["others"], dict, f"{where}.others")
    data["others"] = {
        n: _in(value, f"{where}.others[{n!r}]") for n, value in data["others"].items()
    }
    return Suggestion(**data)


def _out(value: float) -> float | str:
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _in(value: Any, where: str) -> float:
    if isinstance(value, str) and value in _NAMED:
        return _NAMED[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"`{where}` must be a number or one of {', '.join(_NAMED)}, got {value!r}"
        raise TypeError(message)
    try:
        return float(value)
    except OverflowError:
        message = f"`{where}` must be a number that float64 has, got {str(value)[:20]}..."
        raise ValueError(message) from None


def _expect(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        name = {list: "a list", dict: "an object", int: "an integer", str: "a string"}[kind]
        message = f"`{where}` must be {name}, got {value!r}"
        raise TypeError(message)


def _check(data: Any, fields: set[str], what: str) -> None:
    if not isinstance(data, dict):
        message = f"{what} must be an object, got {data!r}"
        raise ValueError(message)  # noqa: TRY004 (as all that is wrong with a text)
    if missing := sorted(fields - data.keys()):
        message = f"{what} has no {', '.join(f'`{name}`' for name in missing)}"
        raise ValueError(message)
    if unknown := sorted(data.keys() - fields):
        message = f"{what} has an unknown field, `{unknown[0]}`"
        raise ValueError(message)


def _constant(text: str) -> None:
    message = f"{text} is no JSON"
    raise ValueError(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        message = "a field is given twice"
        raise ValueError(message)
    return data
