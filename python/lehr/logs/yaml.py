"""The plain values at the top of YAML files: what trackers keep about a run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lehr.logs.report import Report
    from lehr.logs.sources import Source


# A key, quoted or plain, and what comes behind its colon.
_LINE = re.compile(r"""('(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^'"].*?):(?:\s+(.*))?""")


def flat(file: Source, report: Report) -> dict[str, str]:
    """Return the `key: value` lines of a file that belong to no key above them.

    Lists, mappings and what else YAML has are passed over. A file that cannot be read is told.
    """
    try:
        with file.text() as lines:
            text = lines.read()
    except (OSError, EOFError, UnicodeError) as error:
        report.skip(file.name, f"cannot be read: {error}")
        return {}
    whole, end, cut = text.rpartition("\n")
    if cut:
        report.skip(file.name, f"the file ends within its last line, {cut.strip()[:60]!r}")
    return parse(whole + end)


def parse(text: str) -> dict[str, str]:
    r"""Return the `key: value` lines of a text that belong to no key above them.

    Example:
        >>> parse("name: 'it''s'\nmore:\n  a: 1\nsize: 3\n")
        {'name': "it's", 'size': '3'}
    """
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith((" ", "\t")) and key in found:
            # A long text goes on in lines further in; what is below a key alone is no text.
            found[key] = f"{found[key]} {line.strip()}"
            continue
        if line.startswith((" ", "\t", "-", "#", "%", "...")):
            continue
        match = _LINE.fullmatch(line.rstrip())
        key, value = (_unquoted(match[1]), match[2]) if match else ("", "")
        if value and not value.startswith(("[", "{", "!", "&", "*", "|", ">")):
            found[key] = value
    return {key: _unquoted(value) for key, value in found.items()}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value
