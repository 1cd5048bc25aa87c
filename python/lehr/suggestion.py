"""What a rule says about a sweep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from lehr import _core

if TYPE_CHECKING:
    from collections.abc import Mapping


class Suggestion(NamedTuple):
    """What one rule says about a sweep.

    Attributes:
        lr: The suggested value, most often a learning rate; NaN where the rule has nothing to say.
        point: The rate and the smoothed loss at which a plot marks it, or `None`.
        reason: Why there is no suggestion or a weak one, in words; empty otherwise.
        method: The name of the rule.
        interval: The lowest and the highest rate that would do as well, where the rule says so.
        status: "ok", "weak" or "none", where the rule judges its own answer; otherwise empty.
        snr: The signal-to-noise ratio of the curve, where the rule measures it; otherwise NaN.
        others: What other rules suggest, by name.
        agreement: How far these lie from `lr`, in decades; NaN where there are none.
    """

    lr: float
    point: tuple[float, float] | None
    reason: str = ""
    method: str = ""
    interval: tuple[float, float] | None = None
    status: str = ""
    snr: float = math.nan
    others: Mapping[str, float] = {}
    agreement: float = math.nan


class SuggestionMethod:
    """The suggestion rules as attributes, which are the functions themselves.

    Attributes:
        Valley: `lehr.valley`, two thirds down the longest valley.
        Slide: `lehr.slide`, where an interval sliding down from the end stops.
        Minimum: `lehr.minimum`, a tenth of the rate at the least loss.
        Steep: `lehr.steep`, where the loss falls fastest.

    Example:
        >>> import lehr
        >>> lehr.SuggestionMethod.Valley is lehr.valley
        True
    """

    Valley = staticmethod(_core.valley)
    Slide = staticmethod(_core.slide)
    Minimum = staticmethod(_core.minimum)
    Steep = staticmethod(_core.steep)
