"""The groups a sweep finds when it begins."""

import pytest
import torch
from lehr import Finder
from torch import nn


def pair(make=torch.optim.SGD, **options):
    model = nn.Linear(4, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias]}]
    return model, make(groups, **options)


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_groups_that_share_a_tensor_rate_are_swept_apart_and_share_it_again(make):
    rate = torch.tensor(0.125)
    model, optimizer = pair(make, lr=rate)
    held = [group["lr"] for group in optimizer.param_groups]
    seen = []
    ends = {"start": [1e-5, 1e-3], "end": [1e-2, 1.0]}
    with Finder(model, optimizer, num_it=3, **ends) as finder:
        for _ in finder:
            seen.append(rates(optimizer))
            finder.record(1.0)
    assert seen[0] == pytest.approx([1e-5, 1e-3])
    assert seen[2] == pytest.approx([1e-3, 0.1])
    assert [row[1] for row in seen] == pytest.approx(finder.sweep.lrs)
    assert all(g["lr"] is one for g, one in zip(optimizer.param_groups, held, strict=True))
    assert rates(optimizer) == [0.125, 0.125]


def test_ratios_are_those_of_the_groups_when_the_sweep_begins():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD([model.weight], lr=0.1)
    finder = Finder(model, optimizer, num_it=2)
    optimizer.add_param_group({"params": [model.bias], "lr": 0.4})
    seen = []
    with finder:
        for _ in finder:
            seen.append(rates(optimizer))
            finder.record(1.0)
    assert seen == [pytest.approx([lr / 4, lr]) for lr in finder.sweep.lrs]
    assert finder.sweep.settings["ratios"] == pytest.approx((0.25, 1))
    assert rates(optimizer) == [0.1, 0.4]


def test_a_start_per_group_is_refused_when_there_are_others_by_then():
    model, optimizer = pair(lr=0.1)
    finder = Finder(model, optimizer, start=[1e-3, 1e-2], num_it=2)
    optimizer.add_param_group({"params": [torch.ones(1)]})
    with pytest.raises(ValueError, match="`start` must be one number or 3"), finder:
        pass
    assert rates(optimizer) == [0.1, 0.1, 0.1]
