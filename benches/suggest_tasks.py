"""Tiny training tasks for the benchmark of suggestion rules, on data that packages ship.

A task is a module whose call takes a batch and returns its mean loss, so that any loss fits.
"""
# ruff: noqa: D102 - a forward method needs no words

import io
import itertools
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

VALID = 0.2


class Task(NamedTuple):
    """A module to train, built anew by `net()`, and the tensors its batches are taken from."""

    name: str
    shifted: bool  # scales of loss, inputs or targets are unusual on purpose
    batch: int
    net: Callable[[], nn.Module]
    train: tuple[torch.Tensor, ...]
    valid: tuple[torch.Tensor, ...]


class Scored(nn.Module):
    """A net and the loss of its answers."""

    def __init__(self, net, loss):
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, x, y):
        return self.loss(self.net(x), y)


def split(*arrays, seed=0):
    """Return the tensors of training and of validation, the rows shuffled."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    cut = int(len(order) * VALID)
    tensors = [torch.as_tensor(np.asarray(a)[order]) for a in arrays]
    tensors = [t.float() if t.is_floating_point() else t.long() for t in tensors]
    return tuple(t[cut:] for t in tensors), tuple(t[:cut] for t in tensors)


def standard(x):
    return (x - x.mean(0)) / (x.std(0) + 1e-8)


def digits():
    x, y = datasets.load_digits(return_X_y=True)
    return x / 16, y


def mlp(*sizes, act=nn.ReLU, drop=0.0):
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(a, b))
        if i < len(sizes) - 2:
            layers.append(act())
            if drop:
                layers.append(nn.Dropout(drop))
    return nn.Sequential(*layers)


def regression(loss):
    return lambda out, y: loss(out.squeeze(-1), y)


# --- text -----------------------------------------------------------------------------------


def text(name, chars=40_000):
    """Return the source of a module of the standard library as numbers below 64."""
    source = Path(__import__(name).__file__).read_text(encoding="utf-8")[:chars]
    codes = np.frombuffer(source.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64)
    common = np.argsort(-np.bincount(codes, minlength=256), kind="stable")[:63]
    numbers = np.full(256, 63)
    numbers[common] = np.arange(63)
    return numbers[codes]


def windows(codes, length, every=3):
    rows = np.lib.stride_tricks.sliding_window_view(codes, length + 1)[::every]
    return rows[:, :-1], rows[:, 1:]


class CharGRU(nn.Module):
    """A gated recurrent net written out, for `vmap` knows none; it guesses the next character."""

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(64, 3 * width)
        self.inner = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, 64)
        self.width = width

    def forward(self, x, y):
        given = self.embed(x)
        h = torch.zeros_like(given[:, 0, : self.width])
        for i in range(x.shape[1]):
            r1, z1, n1 = given[:, i].chunk(3, -1)
            r2, z2, n2 = self.inner(h).chunk(3, -1)
            z = torch.sigmoid(z1 + z2)
            h = (1 - z) * torch.tanh(n1 + torch.sigmoid(r1 + r2) * n2) + z * h
        return F.cross_entropy(self.out(h), y)


class TokenTransformer(nn.Module):
    """Two blocks, layer norm first, that guess every next character."""

    def __init__(self, width=16, length=12, blocks=2):
        super().__init__()
        self.embed = nn.Embedding(64, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.attend = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(blocks))
        self.mixed = nn.ModuleList(mlp(width, 2 * width, width, act=nn.GELU) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks))
        self.out = nn.Linear(width, 64)
        self.register_buffer("mask", torch.triu(torch.full((length, length), -1e9), 1))

    def forward(self, x, y):
        h = self.embed(x) + self.place
        for i, (attend, mixed) in enumerate(zip(self.attend, self.mixed, strict=True)):
            q, k, v = attend(self.norms[2 * i](h)).chunk(3, -1)
            weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + self.mask, -1)
            h = h + weights @ v
            h = h + mixed(self.norms[2 * i + 1](h))
        return F.cross_entropy(self.out(h).flatten(0, 1), y.flatten())


def char_gru():
    x, y = windows(text("argparse"), 8)
    return Task("char_gru", False, 16, CharGRU, *split(x, y[:, -1]))


def line_tf():
    x, y = windows(text("tarfile"), 12)
    return Task("line_tf", False, 8, TokenTransformer, *split(x, y))


def token_bag():
    """Which kind of token is it, from counts of its characters: linear, and sparse."""
    source = Path(tokenize.__file__).read_text(encoding="utf-8")
    tokens = [
        (t.string, t.type)
        for t in tokenize.generate_tokens(io.StringIO(source).readline)
        if t.string.strip()
    ]
    x = np.zeros((len(tokens), 128))
    for row, (string, _) in zip(x, tokens, strict=True):
        np.add.at(row, [min(ord(c), 127) for c in string], 1)
    kinds = sorted({kind for _, kind in tokens})
    y = np.array([kinds.index(kind) for _, kind in tokens])
    net = lambda: Scored(nn.Linear(128, len(kinds)), F.cross_entropy)  # noqa: E731
    return Task("token_bag", False, 16, net, *split(x, y))


# --- digits ---------------------------------------------------------------------------------


class Residual(nn.Module):
    """Residual blocks, each with its layer norm."""

    def __init__(self, width=32, blocks=5):
        super().__init__()
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
            for _ in range(blocks)
        )

    def forward(self, x):
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


class Patches(nn.Module):
    """Two convolutions written as nets of patches, with group norm between."""

    def __init__(self, width=16):
        super().__init__()
        self.first, self.second = nn.Linear(9, width), nn.Linear(4 * width, 2 * width)
        self.norm = nn.GroupNorm(4, width)
        self.last = nn.Linear(2 * width, 10)

    def forward(self, x):
        patches = x.view(-1, 8, 8).unfold(1, 3, 1).unfold(2, 3, 1).reshape(-1, 36, 9)
        h = torch.relu(self.norm(self.first(patches).transpose(1, 2)))
        h = h.reshape(x.shape[0], -1, 3, 2, 3, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, 9, 64)
        return self.last(torch.relu(self.second(h)).mean(1))


def digits_resln():
    return Task(
        "digits_resln", False, 48, lambda: Scored(Residual(), F.cross_entropy), *split(*digits())
    )


def digits_convgn():
    net = lambda: Scored(Patches(), F.cross_entropy)  # noqa: E731
    return Task("digits_convgn", False, 16, net, *split(*digits()))


def digits_hinge():
    def hinge(out, y):
        right = out.gather(1, y[:, None])
        return torch.relu(1 + out - right).sum(1).mean() - 1

    return Task(
        "digits_hinge", False, 32, lambda: Scored(mlp(64, 32, 10), hinge), *split(*digits())
    )


def digits_dropout():
    net = lambda: Scored(mlp(64, 64, 64, 10, drop=0.6), F.cross_entropy)  # noqa: E731
    return Task("digits_dropout", False, 24, net, *split(*digits()))


def digits_badscale():
    x, y = digits()
    x = x * 10 ** np.random.default_rng(1).uniform(-2, 1.5, 64)
    net = lambda: Scored(mlp(64, 32, 10, act=nn.GELU), F.cross_entropy)  # noqa: E731
    return Task("digits_badscale", True, 32, net, *split(x, y))


def digits_kilo():
    net = lambda: Scored(  # noqa: E731
        mlp(64, 24, 24, 10, act=nn.Softplus), lambda out, y: 1e3 * F.cross_entropy(out, y)
    )
    return Task("digits_kilo", True, 64, net, *split(*digits()))


class Triplet(nn.Module):
    """Distances from an anchor to a digit of its kind and to one of another."""

    def __init__(self):
        super().__init__()
        self.net = mlp(64, 32, 8)

    def forward(self, a, b, c):
        a, b, c = self.net(a), self.net(b), self.net(c)
        return torch.relu(((a - b) ** 2).sum(-1) - ((a - c) ** 2).sum(-1) + 1).mean()


def digits_triplet():
    x, y = digits()
    rng = np.random.default_rng(2)
    halves = []
    for part in split(np.arange(len(x)))[0], split(np.arange(len(x)))[1]:
        rows = part[0].numpy()
        same = np.array([rng.choice(rows[y[rows] == y[i]]) for i in rows])
        other = np.array([rng.choice(rows[y[rows] != y[i]]) for i in rows])
        halves.append(tuple(torch.tensor(x[i]).float() for i in (rows, same, other)))
    return Task("digits_triplet", False, 32, Triplet, *halves)


class Variational(nn.Module):
    """A variational autoencoder: binary cross entropy and the divergence, summed."""

    def __init__(self, hidden=4):
        super().__init__()
        self.coder, self.decoder = mlp(64, 32, 2 * hidden), mlp(hidden, 32, 64)

    def forward(self, x):
        mean, log_var = self.coder(x).chunk(2, -1)
        noise = torch.randn_like(mean) if self.training else 0.0
        out = self.decoder(mean + noise * torch.exp(log_var / 2))
        divergence = (torch.exp(log_var) + mean**2 - 1 - log_var).sum(-1) / 2
        fit = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(-1)
        return (fit + divergence).mean()


def digits_vae():
    return Task("digits_vae", True, 32, Variational, *split(digits()[0]))


class LowRank(nn.Module):
    """A trained net that stays as it is, and low-rank terms beside its weights to train."""

    def __init__(self, trained, rank=2):
        super().__init__()
        for i in (0, 2):
            weight, bias = trained[i].weight.detach(), trained[i].bias.detach()
            self.register_buffer(f"weight{i}", weight.clone())
            self.register_buffer(f"bias{i}", bias.clone())
            down = torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5
            self.register_parameter(f"down{i}", nn.Parameter(down))
            self.register_parameter(f"up{i}", nn.Parameter(torch.zeros(weight.shape[0], rank)))

    def forward(self, x):
        h = x
        for i in (0, 2):
            down, up = getattr(self, f"down{i}"), getattr(self, f"up{i}")
            low = (h @ down.t()) @ up.t()
            h = F.linear(h, getattr(self, f"weight{i}"), getattr(self, f"bias{i}")) + 4 * low
            h = torch.relu(h) if i == 0 else h
        return h


def digits_lowrank():
    """Trained on upright digits, tuned on transposed ones."""
    x, y = digits()
    (train, labels), _ = split(x, y)
    torch.manual_seed(0)
    net = mlp(64, 32, 10)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(train), labels, label_smoothing=0.1).backward()
        optimizer.step()
    turned = x.reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64)
    return Task(
        "digits_lowrank", False, 32, lambda: Scored(LowRank(net), F.cross_entropy),
        *split(turned, y),
    )  # fmt: skip


# --- tables and synthetic data --------------------------------------------------------------


def cancer_linear():
    """A linear model on all samples at once: a curve without noise."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    net = lambda: Scored(nn.Linear(30, 2), F.cross_entropy)  # noqa: E731
    train, valid = split(standard(x), y)
    return Task("cancer_linear", False, len(train[0]), net, train, valid)


def wine_bs2():
    """Pairs of samples, a sixth of the labels wrong."""
    x, y = datasets.load_wine(return_X_y=True)
    rng = np.random.default_rng(3)
    y = np.where(rng.random(len(y)) < 1 / 6, rng.integers(0, 3, len(y)), y)
    net = lambda: Scored(mlp(13, 16, 3, act=nn.LeakyReLU), F.cross_entropy)  # noqa: E731
    return Task("wine_bs2", False, 2, net, *split(standard(x), y))


def diabetes_huber():
    """Targets as they are, from 25 to 346."""
    x, y = datasets.load_diabetes(return_X_y=True)
    net = lambda: Scored(mlp(10, 24, 1, act=nn.ELU), regression(F.huber_loss))  # noqa: E731
    return Task("diabetes_huber", True, 16, net, *split(standard(x), y))


def swiss_tanh():
    """A deep net of tanh without any norm."""
    x, t = datasets.make_swiss_roll(1500, noise=0.2, random_state=4)
    net = lambda: Scored(  # noqa: E731
        mlp(3, *[24] * 6, 1, act=nn.Tanh), regression(F.mse_loss)
    )
    return Task("swiss_tanh", False, 32, net, *split(standard(x), standard(t)))


def moons_milli():
    x, y = datasets.make_moons(1500, noise=0.15, random_state=5)
    net = lambda: Scored(  # noqa: E731
        mlp(2, 24, 24, 2, act=nn.SiLU),
        lambda out, y: 1e-3 * F.cross_entropy(out, y),
    )
    return Task("moons_milli", True, 20, net, *split(x, y))


def gauss_negative():
    """The log-likelihood of a narrow target: the loss goes below zero."""
    x, y = datasets.make_friedman3(1500, noise=0.02, random_state=6)

    def loss(out, y):
        mean, log_std = out.unbind(-1)
        return (log_std + ((y - mean) * torch.exp(-log_std)) ** 2 / 2).mean()

    net = lambda: Scored(mlp(4, 32, 2, act=nn.SiLU), loss)  # noqa: E731
    return Task("gauss_negative", False, 32, net, *split(standard(x), 0.05 * standard(y)))


def multilabel_bce():
    x, y = datasets.make_multilabel_classification(
        1500, n_features=30, n_classes=8, n_labels=3, random_state=7
    )
    net = lambda: Scored(  # noqa: E731
        mlp(30, 32, 8), F.binary_cross_entropy_with_logits
    )
    return Task("multilabel_bce", False, 32, net, *split(x / x.std(), y.astype(float)))


class Factors(nn.Module):
    """A table as the product of two thin ones."""

    def __init__(self, rows, columns, rank=8):
        super().__init__()
        self.rows, self.columns = nn.Embedding(rows, rank), nn.Embedding(columns, rank)
        for table in self.rows, self.columns:
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, i, j, y):
        return F.mse_loss((self.rows(i) * self.columns(j)).sum(-1), y)


def matrix_factors():
    table = datasets.make_low_rank_matrix(120, 60, effective_rank=4, random_state=8)
    i, j = np.divmod(np.arange(table.size), table.shape[1])
    net = lambda: Factors(*table.shape)  # noqa: E731
    return Task("matrix_factors", False, 128, net, *split(i, j, (table / table.std()).ravel()))


def linear_ill():
    """Linear regression whose features almost repeat one another."""
    x, y = datasets.make_regression(
        1500, 40, n_informative=20, effective_rank=6, noise=0.5, random_state=9
    )
    net = lambda: Scored(nn.Linear(40, 1), regression(F.mse_loss))  # noqa: E731
    return Task("linear_ill", False, 16, net, *split(x / x.std(), standard(y)))


# The slow ones last.
TASKS = [
    token_bag, digits_hinge, cancer_linear, moons_milli, gauss_negative, wine_bs2, digits_lowrank,
    diabetes_huber, multilabel_bce, linear_ill, matrix_factors, digits_badscale, digits_triplet,
    swiss_tanh, digits_kilo, digits_vae, digits_dropout, digits_resln, digits_convgn, line_tf,
    char_gru,
]  # fmt: skip
