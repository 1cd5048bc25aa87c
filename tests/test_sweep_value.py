"""The curve of a sweep as a value."""

import copy
import math
import pickle

import pytest
from lehr import Sweep

NAN, INF = math.nan, math.inf


def test_a_sweep_is_an_immutable_value():
    settings = {"start_lr": 1e-7, "seeds": [1, 2]}
    sweep = Sweep([1e-3, 1e-2], [2.0, NAN], num_it=10, stop="interrupted", settings=settings)
    assert len(sweep) == 2
    for name in ("lrs", "stop", "other"):
        with pytest.raises(AttributeError, match=f"`{name}` cannot be set"):
            setattr(sweep, name, 1)
        with pytest.raises(AttributeError):
            delattr(sweep, name)
    with pytest.raises(ValueError, match="read-only"):
        sweep.losses[0] = 1
    settings["seeds"].append(3)
    assert sweep.settings == {"start_lr": 1e-7, "seeds": (1, 2)}
    with pytest.raises(TypeError):
        sweep.settings["other"] = 1
    for other in (copy.copy(sweep), copy.deepcopy(sweep), pickle.loads(pickle.dumps(sweep))):
        assert other == sweep
        assert hash(other) == hash(sweep)
        assert other.settings == sweep.settings
