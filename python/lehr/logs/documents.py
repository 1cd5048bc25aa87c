"""JSON files: one value, or one a line, and what is whole of a broken one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lehr.logs.objects import Objects, apart
from lehr.logs.sources import Source, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lehr.logs.columns import Options
    from lehr.logs.report import Report

_BLANK = " \t\r\n"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of one name given several times, all values, numbered."""
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    value = {}
    seen: dict[str, int] = {}
    for name, one in pairs:
        seen[name] = seen.get(name, 0) + 1
        value[name if seen[name] == 1 else f"{name}#{seen[name]}"] = one
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


class Json:
    """JSON of one tool, or of any.

    Which tool it is shows in a single curve, not in the file: "json" takes all JSON and tells
    each curve by itself. The others read what the caller says is theirs.

    Args:
        name: The name of the format.
        smoothing: How this tool averages the losses it keeps; `None` for not at all.
    """

    def __init__(self, name: str, smoothing: str | None = None) -> None:
        self.name = name
        self.smoothing = smoothing

    def detect(self, source: Source) -> bool:
        """Return whether it begins as JSON does."""
        start = source.head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1]
        return self.name == "json" and start in {b"{", b"["}

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Any]:
        """Yield the curves of all values, and of all points that stand by themselves."""
        how = None if self.name == "json" else (self.name, self.smoothing)
        objects = Objects(source, asked, report, how)
        broken = None
        try:
            for value, place in _values(source, report):
                yield from objects.curves(value, "", place)
        except Unread as error:
            broken = error
        yield from objects.rest(broken is None)
        if broken is not None:
            raise broken


FORMATS = (
    Json("json"),
    Json("lehr"),
    Json("fastai", "fastai"),
    Json("lightning_finder", "lightning"),
    Json("torch_lr_finder", "torch_lr_finder"),
    Json("ignite", "ignite"),
    Json("transformers"),
)


def _values(source: Source, report: Report) -> Iterator[tuple[Any, str]]:
    """Yield the values of a file and their places; raise `Unread` where it breaks off."""
    if _by_line(source):
        yield from _lines(source, report)
        return
    with source.text() as file:
        try:
            text = file.read()
        except UnicodeDecodeError as error:
            raise Unread(f"is no UTF-8: {error.reason} at byte {error.start}") from error
    value, broken = decode(text)
    if value is not None:
        yield (apart(value) if broken else value), source.name
    if broken:
        raise Unread(broken)


def _by_line(source: Source) -> bool:
    """Return whether there is more than one value, the first on a line of its own.

    The first line may be broken: the next one tells, unless both are of one value.
    """
    with source.text(errors="surrogateescape") as file:
        lines = (line for line in file if line.strip())
        first, second = next(lines, ""), next(lines, "")
        if not second or _alone(first):
            return bool(second)
        return _alone(second) and not _goes_on(first + second + next(lines, ""))


def _goes_on(text: str) -> bool:
    """Return whether a text is one value, or the beginning of one."""
    text = text.strip()
    try:
        _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except RecursionError:
        pass
    return True


def _alone(line: str) -> bool:
    try:
        return isinstance(_DECODER.decode(line.strip()), (dict, list))
    except (ValueError, RecursionError):
        return False


def _lines(source: Source, report: Report) -> Iterator[tuple[Any, str]]:
    number = 0
    with source.text(errors="surrogateescape") as file:
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    line.encode()
                    value = _DECODER.decode(line.strip())
                except UnicodeEncodeError:
                    report.skip(f"{source.name}:{number}", "is no UTF-8")
                except ValueError as error:
                    report.skip(f"{source.name}:{number}", f"is no JSON: {error}")
                except RecursionError:
                    report.skip(f"{source.name}:{number}", "is nested too deep")
                else:
                    yield value, f"{source.name}:{number}"
        except (OSError, EOFError) as error:
            raise Unread(f"breaks off: {error}", f"{source.name}:{number + 1}") from error


class _Walk(NamedTuple):
    """What was found of a list or object until it broke off."""

    value: Any
    broken: str


def decode(text: str) -> tuple[Any, str]:
    """Return a JSON value and no message, or what is whole of it and where it breaks off.

    Example:
        >>> decode('[{"lr": [0.1]}, {"lr": [0.1, 0.')
        ([{'lr': [0.1]}], "breaks off: Expecting ',' delimiter: line 1 column 31 (char 30)")
    """
    try:
        return _DECODER.decode(text), ""
    except RecursionError:
        return None, "is nested too deep"
    except ValueError as error:
        reason = f"breaks off: {error}"
    entries: list[tuple[str, Any]] = []
    at = _skip(text, 0)
    closing = {"{": "}", "[": "]"}.get(text[at : at + 1])
    try:
        while closing and at < len(text):
            at = _skip(text, at + 1)
            name = ""
            if closing == "}":
                name, at = _DECODER.raw_decode(text, at)
                at = _skip(text, _skip(text, at) + 1)
            value, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at)
            # A number at the very end may have more digits.
            if at < len(text) or isinstance(value, (dict, list)):
                entries.append((name, value))
            if text[at : at + 1] != ",":
                break
    except (ValueError, RecursionError, TypeError):
        pass
    if closing == "}":
        return _object([(str(name), value) for name, value in entries]), reason
    return [value for _, value in entries] if closing else None, reason


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
