"""Every recipe of hosts.md and sweeping.md runs, each by itself after what all of them share."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def recipes():
    for page in ("hosts.md", "sweeping.md"):
        text = (DOCS / page).read_text()
        shared, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
        for section in sections:
            if blocks(section):
                name = f"{page}: {section.splitlines()[0]}"
                yield pytest.param(page, blocks(shared) + blocks(section), id=name)


@pytest.mark.parametrize(("page", "code"), recipes())
def test_a_recipe_runs(page, code):
    names = {"__name__": "recipe"}
    for block in code:
        exec(compile(block, page, "exec"), names)
