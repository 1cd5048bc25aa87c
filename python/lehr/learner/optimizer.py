"""The optimizer as the learner sees it: hyper-parameters per splitter group (rules 10 and 11)."""

from __future__ import annotations

import warnings
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

# The names of weight decay, which parameters without it do not follow.
_DECAY = ("wd", "weight_decay")

# What torch's optimizers gather in the shape of the parameter.
_SHAPED = frozenset({
    "acc_delta", "ax", "exp_avg", "exp_avg_sq", "exp_inf", "grad_avg", "max_exp_avg_sq",
    "momentum_buffer", "prev", "square_avg", "step_size", "sum",
})  # fmt: skip

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


def norm_bias_params(model: nn.Module, *, bias: bool = True) -> set[nn.Parameter]:
    """Return the parameters of norm layers, and with `bias` all biases.

    Weight decay should leave these alone, and freezing those of norm layers.
    """
    norms = (*_NORMS, nn.RMSNorm) if hasattr(nn, "RMSNorm") else _NORMS
    found = set()
    for module in model.modules():
        for name, param in module.named_parameters(recurse=False):
            if isinstance(module, norms) or (bias and name == "bias"):
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
        steps: Number of steps it has taken.
        scaler: The gradient scaler that decides whether a step is taken, or `None`.
        frozen_idx: Index of the first group that is trained.
        force_train: Parameters that freezing leaves trained.

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
        self.steps = 0
        self.scaler: torch.amp.GradScaler | None = None
        self.frozen_idx = 0
        self.force_train: set[nn.Parameter] = set()
        if isinstance(opt, torch.optim.Optimizer):
            if params is not None or kwargs:
                message = "`params` must be left out when `opt` is a built optimizer"
                raise TypeError(message)
            self.torch = opt
            hypers.separate(opt)
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
        hypers.separate(self.torch)

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
        if name in _DECAY:
            for index in self._no_decay:
                spread[index] = None
        hypers.write(self.torch, name, spread)

    def setter(self, *names: str) -> Callable[..., None]:
        """Return what sets hyper-parameters as `set_hyper` does, cheaper where that is often.

        Args:
            *names: As in `set_hyper`; the result is called with a value for each.
        """
        if not any(name in _DECAY for name in names):
            return hypers.writer(self.torch, names, self.set_hyper)

        def set_each(*values: Any) -> None:
            for name, value in zip(names, values, strict=True):
                self.set_hyper(name, value)

        return set_each

    @property
    def first_indices(self) -> list[int]:
        """The index of the torch group that each group's values are read from."""
        return [group[0] for group in self._groups]

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

    def step(self) -> bool:
        """Take one optimizer step, unless the scaler skips it; return whether it was taken."""
        if self.scaler is None:
            self.torch.step()
        elif not self._scaled_step(self.scaler):
            return False
        self.steps += 1
        return True

    def _scaled_step(self, scaler: torch.amp.GradScaler) -> bool:
        """Step through a scaler, which skips a step whose gradients are not finite."""
        taken = []

        def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            # A fused optimizer is called all the same, and told to do nothing.
            found = getattr(optimizer, "found_inf", None)
            taken.append(found is None or not found.item())

        hook = self.torch.register_step_post_hook(look)
        try:
            scaler.step(self.torch)
        finally:
            hook.remove()
        return any(taken)

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
        state: dict[str, list[dict[str, Any]]] = copied(self.live_state())
        return state

    def live_state(self) -> dict[str, list[dict[str, Any]]]:
        """Return what `state_dict` copies, to be saved at once."""
        torch_groups = self.torch.param_groups
        left_out = ("params", "param_names")
        return {
            "state": [self.torch.state.get(param, {}) for param in self.all_params()],
            "hypers": [
                {k: _python_number(v) for k, v in torch_groups[g[0]].items() if k not in left_out}
                for g in self._groups
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a copy of a state that `state_dict` returned.

        Raises:
            ValueError: It is of another optimizer: other numbers of groups or parameters, other
                hyper-parameters, or another shape of what was gathered for a parameter. Nothing
                is changed then.
        """
        self.check_state_dict(state)
        torch_groups = self.torch.param_groups
        groups: list[dict[str, Any]] = [{}] * len(torch_groups)
        for members, values in zip(self._groups, state["hypers"], strict=True):
            for index in members:
                kept = {"params"} | ({"weight_decay"} if index in self._no_decay else set())
                now = torch_groups[index]
                groups[index] = {**now, **values, **{key: now[key] for key in kept if key in now}}
        of_param = {
            id(param): one for param, one in zip(self.all_params(), state["state"], strict=True)
        }
        kept_state = {}
        count = 0
        for group in groups:
            size = len(group["params"])
            for index, param in enumerate(group["params"], count):
                if of_param[id(param)]:
                    # torch takes the tensors themselves.
                    kept_state[index] = copied(of_param[id(param)])
            group["params"] = list(range(count, count + size))
            count += size
        self.torch.load_state_dict({"state": kept_state, "param_groups": groups})
        # torch casts to the parameter's type, and loses what was kept in another on purpose.
        for param, one in zip(self.all_params(), state["state"], strict=True):
            loaded = self.torch.state.get(param, {})
            for name, value in one.items():
                now = loaded.get(name)
                if isinstance(value, torch.Tensor) and now is not None and now.dtype != value.dtype:
                    loaded[name] = value.detach().to(now.device, copy=True)

    def check_state_dict(self, state: Any) -> None:
        """Raise ValueError where `load_state_dict` would, and change nothing."""
        if not (
            isinstance(state, dict)
            and all(
                isinstance(state.get(part), list) and all(isinstance(x, dict) for x in state[part])
                for part in ("state", "hypers")
            )
        ):
            message = (
                "the state must be a dictionary of `state` and `hypers`, lists of dictionaries"
            )
            raise ValueError(message)
        every = self.all_params()
        for what, ours, theirs in (
            ("parameter groups", len(self), len(state["hypers"])),
            ("parameters", len(every), len(state["state"])),
        ):
            if ours != theirs:
                message = f"the optimizer has {ours} {what}, its saved state {theirs}"
                raise ValueError(message)
        self._check_hypers(state["hypers"])
        for index, (param, one) in enumerate(zip(every, state["state"], strict=True)):
            for name, value in one.items():
                shape = getattr(value, "shape", None)
                if name in _SHAPED and value is not None and shape != param.shape:
                    found = repr(value) if shape is None else tuple(shape)
                    message = (
                        f"parameter {index} has shape {tuple(param.shape)}, its saved `{name}` "
                        f"{found}"
                    )
                    raise ValueError(message)

    def _check_hypers(self, every: list[dict[str, Any]]) -> None:
        kind = type(self.torch).__name__
        for members, values in zip(self._groups, every, strict=True):
            group = self.torch.param_groups[members[0]]
            known = group.keys() - {"params", "param_names"}
            # What an optimizer adds in its steps is not there yet.
            if not known <= values.keys():
                message = (
                    f"{kind} has the hyper-parameters {sorted(known)}, its saved state "
                    f"{sorted(map(str, values))}"
                )
                raise ValueError(message)
            for name in known:
                if not _alike(name, group[name], values[name]):
                    message = f"{kind} has `{name}` = {group[name]!r}, its saved state has "
                    raise ValueError(message + repr(values[name]))

    # Freezing.

    def freeze_to(self, n: int) -> None:
        """Train the groups from `n` on, and of those before it the `force_train` parameters alone.

        Args:
            n: Index of the first group to train; negative ones count from the end.

        Raises:
            ValueError: `n` is below minus the number of groups.
        """
        groups = len(self)
        first = n if n >= 0 else groups + n
        if first < 0:
            message = f"`n` must be at least {-groups}, there are {groups} groups, got {n}"
            raise ValueError(message)
        if first >= groups:
            warnings.warn(
                f"freezing {n} groups of a model that has {groups} freezes all of it",
                stacklevel=4,
            )
        self.train_from(first)

    def train_from(self, first: int) -> None:
        """Train the groups from `first` on, as `freeze_to`, none without a warning."""
        self.frozen_idx = first
        for index, params in enumerate(self.param_lists):
            for param in params:
                trains = index >= first or param in self.force_train
                param.requires_grad_(trains)
                if not trains:
                    # A step moves whatever has a gradient.
                    param.grad = None

    def __repr__(self) -> str:
        return f"OptimWrapper({type(self.torch).__name__}, {len(self)} groups)"


def copied(value: Any) -> Any:
    """Copy a state deeply, so that it does not change as training goes on (row R9)."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    return value


def _alike(name: str, ours: Any, theirs: Any) -> bool:
    """Whether a saved hyper-parameter can take the place of ours."""
    if name == "decoupled_weight_decay":
        # Nothing but this tells Adam from AdamW.
        return bool(ours == theirs)
    if isinstance(ours, tuple):
        fits = isinstance(theirs, (list, tuple)) and len(ours) == len(theirs)
        return fits and all(_alike(name, *both) for both in zip(ours, theirs, strict=True))
    return hypers.is_number(theirs) if hypers.is_number(ours) else not isinstance(theirs, str)


def _python_number(value: Any) -> Any:
    """Return a hyper-parameter with numpy's numbers as Python's, which any file takes (row R8)."""
    if isinstance(value, tuple):
        return tuple(map(_python_number, value))
    if isinstance(value, torch.Tensor) or not hasattr(value, "item"):
        return value
    return value.item()


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
