"""What importing lehr loads, and what a missing extra says."""

import subprocess
import sys

import lehr
import pytest

HEAVY = [
    "torch",
    "numpy",
    "matplotlib",
    "rich",
    "json",
    "dataclasses",
    "typing",
    "inspect",
    "asyncio",
]


def python(code, *flags):
    return subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=False
    )


def test_import_loads_nothing_heavy():
    # -S: without the packages that a site's own .pth files import.
    path = next(p for p in sys.path if p.endswith("site-packages"))
    root = lehr.__path__[0].removesuffix("/lehr")
    code = f"""
import sys
sys.path[:0] = [{root!r}, {path!r}]
before = set(sys.modules)
import lehr
assert lehr.SchedCos(0, 1)(0.25) == lehr.SchedCos(0, 1).at(0.25)
found = [m for m in {HEAVY!r} if m in sys.modules and m not in before]
assert not found, found
"""
    done = python(code, "-S")
    assert done.returncode == 0, done.stderr


def test_every_public_name_exists_and_is_listed():
    for name in lehr.__all__:
        assert getattr(lehr, name) is not None
    assert set(lehr.__all__) <= set(dir(lehr))
    assert lehr.__all__ == sorted(lehr.__all__)
    with pytest.raises(AttributeError, match="module 'lehr' has no attribute 'nothing'"):
        lehr.nothing


def test_version_is_the_workspace_s():
    import tomllib
    from pathlib import Path

    root = Path(__file__).parent.parent
    workspace = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]
    assert lehr.__version__ == workspace["version"]
    assert "version" in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dynamic"]


@pytest.mark.parametrize(
    ("missing", "use", "message"),
    [
        ("torch", "lehr.Learner", "the Learner needs torch: pip install 'lehr[torch]'"),
        ("torch", "import lehr.testing", "lehr.testing needs torch: pip install 'lehr[torch]'"),
        (
            "matplotlib",
            "lehr.SchedLin(0, 1).plot()",
            "a plot needs matplotlib: pip install 'lehr[plot]'",
        ),
        (
            "click",
            "import lehr.cli; lehr.cli.main()",
            "the lehr command needs click: pip install 'lehr[cli]'",
        ),
    ],
)
def test_a_missing_extra_is_named(missing, use, message):
    done = python(f"import sys; sys.modules[{missing!r}] = None\nimport lehr\n{use}")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_debug_build_warns(tmp_path):
    """Importing a module whose core says it is unoptimised."""
    code = """
import sys, types, warnings
import lehr._core as core
fake = types.ModuleType("lehr._core")
fake.__dict__.update(vars(core))
fake.DEBUG = True
for name in [m for m in sys.modules if m == "lehr" or m.startswith("lehr.")]:
    del sys.modules[name]
sys.modules["lehr._core"] = fake
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import lehr
assert [w.category for w in seen] == [RuntimeWarning], seen
assert "without optimisation" in str(seen[0].message)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
