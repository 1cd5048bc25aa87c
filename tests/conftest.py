"""Shared fixtures."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from hypothesis import HealthCheck, settings

mpl.use("agg")

# A busy machine is no failure.
settings.register_profile("lehr", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lehr")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def reference():
    """What fastai 2.8.12 does, recorded by tests/reference/record.py."""
    return json.loads((ROOT / "tests/data/reference.json").read_text())


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure behind."""
    yield
    plt.close("all")
