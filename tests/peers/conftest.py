"""What holds in every host: no network, no file outside the test's folder, no warning of lehr."""

import os
import sys
import warnings

# Read when a host is imported.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "agg",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}

import matplotlib.pyplot as plt
import pytest
import torch

torch.set_num_threads(1)


def stop_lehr_s(message, category, filename, lineno, file=None, line=None):
    """Raise a warning that code of lehr gives, wherever its stack level places it.

    A filter sees the place alone, which for a warning to the caller is a line of the host.
    """
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] in {"warnings", "_py_warnings"}:
        frame = frame.f_back
    if frame.f_globals["__name__"].split(".")[0] == "lehr":
        raise message


@pytest.fixture(autouse=True)
def lehr_gives_no_warning(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", stop_lehr_s)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Hosts write checkpoints and logs into the working directory when told nothing."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
