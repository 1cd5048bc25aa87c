"""What was read of logs, and what was not and why."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from lehr.logs.sources import encodable

# As many skips of one source are told one by one.
_TOLD = 100


class Skip(NamedTuple):
    """Something that was not read.

    Attributes:
        place: Where it lies: "path", "path:line", "path[curve]".
        reason: Why it was not read.
    """

    place: str
    reason: str


class Report:
    """What was read and what was not; it grows while logs are read.

    Attributes:
        total: The number of sources there are to read.
        done: The number of sources that have been read to their end, or skipped.
        read: The number of curves read.
        files: The number of sources with a curve, by format.
        skipped: What was not read, as `Skip`s in the order met: whole sources, and curves and rows
            of others. Of one source the first hundred are listed, and one more counts the rest.
        skips: The number of all that was not read, listed or not.
        notes: What files leave open about what was read, and how often.
    """

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.done = 0
        self.read = 0
        self.files: Counter[str] = Counter()
        self.skipped: list[Skip] = []
        self.skips = 0
        self.notes: Counter[str] = Counter()
        self._of_source = 0
        self._formats: set[str] = set()

    def add(self, name: str, count: int = 1) -> None:
        """Count curves of a format."""
        self.read += count
        self._formats.add(name)

    def skip(self, place: str, reason: str) -> None:
        """Say what is not read, and why."""
        self.skips += 1
        self._of_source += 1
        if self._of_source <= _TOLD:
            self.skipped.append(Skip(encodable(place), encodable(reason)))

    def note(self, text: str, count: int = 1) -> None:
        """Say what a file leaves open."""
        self.notes[text] += count

    def end(self, name: str) -> None:
        """Say that a source is done."""
        if (more := self._of_source - _TOLD) > 0:
            self.skipped.append(Skip(name, f"and {more} more that are not listed"))
        self.files.update(self._formats)
        self._formats.clear()
        self._of_source = 0
        self.done += 1

    def __str__(self) -> str:
        of = "".join(f", {count} {name}" for name, count in sorted(self.files.items()))
        lines = [f"{_count(self.read, 'curve')} read from {_count(self.files.total(), 'file')}{of}"]
        if self.skipped:
            lines.append(f"{self.skips:,} skipped:")
            lines += [f"  {place}: {reason}" for place, reason in self.skipped[:10]]
            if self.skips > 10:  # noqa: PLR2004 (a summary is short)
                lines.append(f"  and {self.skips - 10:,} more")
        lines += [f"note, {_count(n, 'time')}: {text}" for text, n in self.notes.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Report of {self.read} read, {self.skips} skipped>"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
