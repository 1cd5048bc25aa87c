"""Which tool made a curve of JSON, as far as that can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lehr.logs.columns import Pair

UNKNOWN = "the file does not tell whether the losses are averages: taken as raw"
MEANS = "each loss is the mean since the row before"

# The formats by what a file calls them, and how they average.
_AVERAGES = {
    "fastai": ("fastai", "fastai"),
    "lightning": ("lightning_finder", "lightning"),
    "lightning_finder": ("lightning_finder", "lightning"),
    "torch_lr_finder": ("torch_lr_finder", "torch_lr_finder"),
    "ignite": ("ignite", "ignite"),
}
# What a Recorder of fastai keeps beside its rates and losses.
_RECORDER = ("iters", "values", "metric_names", "smooth_loss")
_ENOUGH = 8


def is_sweep(value: Mapping[str, Any]) -> bool:
    """Return whether it is what `Sweep.to_json` writes."""
    return value.keys() == {"version", "sweep"} and isinstance(value["sweep"], dict)


def is_transformers(value: Mapping[str, Any]) -> bool:
    """Return whether it is the state of a Trainer of transformers."""
    return isinstance(value.get("log_history"), list) and "global_step" in value


@np.errstate(all="ignore")  # of losses that no float32 holds
def how(
    value: Mapping[str, Any],
    pair: Pair,
    lrs: NDArray[np.float64],
    losses: NDArray[np.float64],
    *,
    nested: bool,
) -> tuple[str, str | None] | None:
    """Return the format of a curve and how its losses were averaged; `None` if that is unknown.

    In this order: what its keys `smoothing` and `format` say; what its columns are called; rates
    of several groups, which Ignite alone keeps so; what fastai's Recorder holds besides; and what
    the digits of the losses prove.
    """
    said = value.get("smoothing", value.get("format"))
    if isinstance(said, str) and said.lower() in _AVERAGES:
        return _AVERAGES[said.lower()]
    if "smoothing" in value and (said is None or said == "none"):
        return "json", None
    if pair.smoothing is not None:
        return _AVERAGES[pair.smoothing]
    if nested and not _float32(losses):
        return _AVERAGES["ignite"]
    if pair.lr == "lrs" and any(name in value for name in _RECORDER):
        return _AVERAGES["fastai"]
    return _AVERAGES.get(proved(lrs, losses) or "")


@np.errstate(all="ignore")
def proved(lrs: NDArray[np.float64], losses: NDArray[np.float64]) -> str | None:
    """Return whose average the losses are, where their digits prove it.

    Losses of torch are float32 numbers. Lightning, torch-lr-finder and Ignite average them in
    float64, so that their averages are no float32 numbers, and the right inversion alone gives
    float32 numbers again, up to the rounding of float64. Another number lies that near to one in
    fewer than one of fifty cases; here all that are big enough to tell must, eight at least.

    Returns:
        "lightning"; "torch_lr_finder", whose average Ignite's is too; or `None`: of raw losses,
        of fastai's, averaged in float32, and of numbers written with fewer digits.
    """
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(finite.argmin())
    lrs, losses = lrs[:count], losses[:count]
    if len(lrs) != count or count - np.count_nonzero(_same(losses)) < _ENOUGH:
        return None
    # Twice what the inversion may lose, by the size of the averages.
    error = 4e-14 * np.abs(losses).max()
    for smoothing in ("lightning", "torch_lr_finder"):
        raw = _core.curve(lrs, losses, smoothing)[1]
        near = raw.astype(np.float32)
        telling = np.spacing(np.abs(near)) > 100 * error
        enough = np.count_nonzero(telling) >= _ENOUGH
        if enough and (np.abs(raw - near)[telling] <= error).all():
            return smoothing
    return None


def _same(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.equal(losses.astype(np.float32), losses)


def _float32(losses: NDArray[np.float64]) -> bool:
    return bool((_same(losses) | ~np.isfinite(losses)).all())
