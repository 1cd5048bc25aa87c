"""Memory that is shared, resized or replaced while a sweep lasts."""

import pytest
import torch
from lehr import Finder, lr_find
from state import plain
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

mse = nn.functional.mse_loss


def batch():
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    return x, x.sum(1, keepdim=True)


@pytest.fixture
def process_group():
    """A group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("view", [True, False])
def test_gradients_that_are_views_of_buckets_are_as_before(view, bias, process_group):
    torch.manual_seed(0)
    # Without a bias the one gradient fills the bucket.
    inner = nn.Linear(4, 1, bias=bias)
    model = DistributedDataParallel(inner, gradient_as_bucket_view=view)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    for _ in range(2):
        optimizer.zero_grad(set_to_none=False)
        mse(model(x), y).backward()
    grads = [p.grad for p in inner.parameters()]
    before = plain(grads)
    lr_find(model, optimizer, [(x, y)], mse, num_it=20)
    assert plain([p.grad for p in inner.parameters()]) == before
    assert all(p.grad is grad for p, grad in zip(inner.parameters(), grads, strict=True))


def test_gradients_in_a_buffer_of_the_loop_are_as_before():
    model = nn.Linear(4, 1)
    flat = torch.arange(5.0)
    model.weight.grad, model.bias.grad = flat[:4].view(1, 4), flat[4:]
    with Finder(model, torch.optim.SGD(model.parameters(), lr=0.1), num_it=3) as finder:
        for _ in finder:
            flat.zero_()
            finder.record(1.0)
    assert flat.tolist() == [0, 1, 2, 3, 4]
    assert model.weight.grad.tolist() == [[0, 1, 2, 3]]


def moved(change):
    """Whether a model's weights come back in place from a sweep that does `change` to one."""
    torch.manual_seed(0)
    model = nn.Linear(400, 400)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    # Copies: of what numpy has seen, the storage cannot be resized.
    before, weight = [p.detach().clone() for p in model.parameters()], model.weight
    other = weight.detach()[:, ::2]
    with Finder(model, optimizer, num_it=1) as finder:
        for _ in finder:
            finder.record(1.0)
        change(model.weight.data.untyped_storage())
    assert model.weight is weight
    assert other.data_ptr() == weight.data_ptr()
    return all(map(torch.equal, model.parameters(), before))


@pytest.mark.parametrize("size", [0, 4, 10**6])
def test_memory_that_was_resized_is_as_before(size):
    assert moved(lambda storage: storage.resize_(size))


def test_a_parameter_without_its_memory_stays_so():
    """As the shards of a model between two uses."""
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.weight.untyped_storage().resize_(0)
    with Finder(model, optimizer, num_it=2) as finder:
        for _ in finder:
            model.weight.untyped_storage().resize_(64)
            model.weight.data.fill_(1)
            model.weight.untyped_storage().resize_(0)
            finder.record(1.0)
    assert model.weight.untyped_storage().nbytes() == 0
    assert model.weight.shape == (4, 4)
