"""Every example of README, docs and docstrings runs."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import lehr
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What these need is installed where tests/peers/test_docs.py runs them.
PEERS = ("hosts.md", "sweeping.md", "export.md")
PAGES = [page for page in PAGES if "```python" in page.read_text() and page.name not in PEERS]
MODULES = [m.name for m in pkgutil.walk_packages(lehr.__path__, "lehr.") if m.name != "lehr._core"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_s_docstrings_run(name, capsys):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0, capsys.readouterr().out


def documented(tree, path=""):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            name = f"{path}{node.name}"
            yield name, ast.get_docstring(node)
            yield from documented(node, f"{name}.")


def test_examples_of_the_stub_run_and_every_public_name_of_it_is_documented(capsys):
    tree = ast.parse((ROOT / "python/lehr/_core.pyi").read_text())
    runner = doctest.DocTestRunner()
    docs = {}
    for name, text in documented(tree):
        docs[name] = docs.get(name) or text
        if text:
            names = dict(vars(lehr._core))
            runner.run(doctest.DocTestParser().get_doctest(text, names, name, "_core.pyi", 0))
    assert runner.tries > 20
    assert runner.failures == 0, capsys.readouterr().out
    missing = [name for name, text in docs.items() if not text and "__" not in name]
    assert not missing


def test_every_public_name_has_a_docstring():
    for name in lehr.__all__:
        assert getattr(lehr, name).__doc__, name
