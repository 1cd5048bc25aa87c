"""Every recipe of docs/hosts.md runs, each by itself after what all of them share."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/hosts.md"
SHARED, *SECTIONS = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    "section", [one for one in SECTIONS if blocks(one)], ids=lambda one: one.splitlines()[0]
)
def test_a_recipe_runs(section):
    names = {"__name__": "recipe"}
    for block in blocks(SHARED) + blocks(section):
        exec(compile(block, str(PAGE), "exec"), names)
