"""The optimizer as the learner sees it: hyper-parameters per splitter group (rules 10 and 11)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lehr import _core, hypers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    Params = list[nn.Parameter]

# torch's AdamW with the reference's defaults for Adam.
Adam = partial(torch.optim.AdamW, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01)

_NORMS = (
    nn.modules.batchnorm._NormBase,  # noqa: SLF001 (the public classes' only common base)
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
)


def params(model: nn.Module) -> list[Params]:
    """Put all parameters of a model into one group: the default splitter.

    Frozen ones are included (row F23), so that unfreezing them later trains them.
    """
    return [list(model.parameters())]


def norm_bias_params(model: nn.Module) -> set[nn.Parameter]:
    """Return the parameters that weight decay should leave alone: norm layers and biases."""
    norms = (*_NORMS, nn.RMSNorm) if hasattr(nn, "RMSNorm") else _NORMS
    found = set()
    for module in model.modules():
        for name, param in module.named_parameters(recurse=False):
            if isinstance(module, norms) or name == "bias":
                found.add(param)
    return found


class OptimWrapper:
    """A torch optimizer whose hyper-parameters are set and read per splitter group.

    Each group of `params` becomes one torch group, or two where some of its parameters take no
    weight decay. Every value, list, slice and record here is per group of `params`.

    Args:
        params: A list of parameters, or a list of lists: one list a group.
        opt: A torch optimizer class (or a function that makes an optimizer from groups), or a
            built optimizer, whose groups are then the groups.
        no_decay: Parameters that get no weight decay.
        **kwargs: Hyper-parameters for `opt`, by torch's names.

    Attributes:
        torch: The torch optimizer.

    Raises:
        TypeError: `params` and a built optimizer are both given, or neither.
        ValueError: A group is empty.
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        opt: Any = None,
        *,
        no_decay: Collection[nn.Parameter] = (),
        **kwargs: Any,
    ) -> None:
        if isinstance(opt, torch.optim.Optimizer):
            if params is not None or kwargs:
                message = "`params` must be left out when `opt` is a built optimizer"
                raise TypeError(message)
            self.torch = opt
            self._groups = [[index] for index in range(len(opt.param_groups))]
            self._no_decay: set[int] = set()
            return
        if params is None or not callable(opt):
            message = f"`opt` must be a torch optimizer or its class with `params`, got {opt!r}"
            raise TypeError(message)
        groups = _as_groups(params)
        self.torch = opt([{"params": group} for group in groups], **kwargs)
        self._groups = [[index] for index in range(len(groups))]
        self._no_decay = set()
        if no_decay and "weight_decay" in self.torch.defaults:
            self._split_decay(groups, no_decay, opt, kwargs)

    def _split_decay(
        self,
        groups: list[Params],
        no_decay: Collection[nn.Parameter],
        opt: Callable[..., torch.optim.Optimizer],
        kwargs: dict[str, Any],
    ) -> None:
        chosen = {id(param) for param in no_decay}
        torch_groups: list[dict[str, Any]] = []
        self._groups = []
        for group in groups:
            decayed = [param for param in group if id(param) not in chosen]
            rest = [param for param in group if id(param) in chosen]
            self._groups.append([])
            for members, decay in ((decayed, True), (rest, False)):
                if not members:
                    continue
                self._groups[-1].append(len(torch_groups))
                if decay:
                    torch_groups.append({"params": members})
                else:
                    self._no_decay.add(len(torch_groups))
                    torch_groups.append({"params": members, "weight_decay": 0.0})
        self.torch = opt(torch_groups, **kwargs)

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def param_lists(self) -> list[Params]:
        """The parameters of each group."""
        torch_groups = self.torch.param_groups
        return [[p for i in group for p in torch_groups[i]["params"]] for group in self._groups]

    def all_params(self) -> Params:
        """Return the parameters of all groups, in order."""
        return [param for group in self.param_lists for param in group]

    def has_hyper(self, name: str) -> bool:
        """Whether every group has the hyper-parameter `name`."""
        return all(hypers.has(group, name) for group in self.torch.param_groups)

    def set_hyper(self, name: str, value: Any) -> None:
        """Set a hyper-parameter.

        Args:
            name: `lr`, `mom` (momentum or betas[0]), `sqr_mom` (alpha or betas[1]), `wd`
                (weight decay), or any key of the torch groups.
            value: One number for all groups; a sequence, array or tensor with one per group;
                `slice(a, b)` for equal ratios from a (first group) to b (last), just b when there
                is one group; or `slice(b)` for b in the last group and b / 10 before it.

        Raises:
            KeyError: The optimizer has no such hyper-parameter.
            TypeError: `value` is not of these forms.
            ValueError: It has another length than there are groups, or is not finite.
        """
        values = _core.group_values(value, len(self._groups), name)
        spread: list[float | None] = [None] * len(self.torch.param_groups)
        for group, group_value in zip(self._groups, values, strict=True):
            for index in group:
                spread[index] = group_value
        if name in ("wd", "weight_decay"):
            for index in self._no_decay:
                spread[index] = None
        hypers.write(self.torch, name, spread)

    def get_hyper(self, name: str) -> list[Any]:
        """Return a hyper-parameter's value in each group."""
        torch_groups = self.torch.param_groups
        return [hypers.read(torch_groups[group[0]], name) for group in self._groups]

    @property
    def hypers(self) -> list[dict[str, Any]]:
        """The hyper-parameters of each group, by their public names (a fresh copy)."""
        torch_groups = self.torch.param_groups
        return [
            {
                name: hypers.read(torch_groups[g[0]], name)
                for name in hypers.public_names(torch_groups[g[0]])
            }
            for g in self._groups
        ]

    def step(self) -> None:
        """Take one optimizer step."""
        self.torch.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.torch.zero_grad()

    def clear_state(self) -> None:
        """Forget what the optimizer has gathered (moments, step counts)."""
        self.torch.state.clear()

    def state_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return a copy of the state: `{'state': [one dict a parameter], 'hypers': [one a group]}`.

        A fresh optimizer has an empty dict for each parameter. Keys inside are torch's.
        """
        torch_groups = self.torch.param_groups
        return {
            "state": [_copy(self.torch.state.get(param, {})) for param in self.all_params()],
            "hypers": [
                _copy(
                    {
                        k: v
                        for k, v in torch_groups[g[0]].items()
                        if k not in ("params", "param_names")
                    }
                )
                for g in self._groups
            ],
        }

    def __repr__(self) -> str:
        return f"OptimWrapper({type(self.torch).__name__}, {len(self)} groups)"


def _copy(value: Any) -> Any:
    """Copy a state deeply, so that it does not change as training goes on (row R9)."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copy(item) for item in value)
    return value


def _as_groups(params: Iterable[Any]) -> list[Params]:
    """Read a splitter's result: a flat list of parameters, or a list of lists."""
    items = list(params)
    if all(isinstance(item, torch.Tensor) for item in items):
        items = [items]
    groups = [list(group) for group in items]
    for index, group in enumerate(groups):
        if not group:
            message = (
                f"`splitter` must return groups of at least one parameter, group {index} is empty"
            )
            raise ValueError(message)
        for param in group:
            if not isinstance(param, torch.Tensor):
                message = (
                    f"`splitter` must return lists of parameters, got {param!r} in group {index}"
                )
                raise TypeError(message)
    return groups
