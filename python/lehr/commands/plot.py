"""`lehr plot`: a schedule as a picture."""

from __future__ import annotations

import ast
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import lehr
from lehr._extras import need

if TYPE_CHECKING:
    from collections.abc import Callable

# What a schedule is written with.
_NAMES = (
    "SchedLin", "SchedCos", "SchedNo", "SchedExp", "SchedPoly", "SchedInverseSqrt", "SchedTanh",
    "combine_scheds", "combined_cos", "warmup", "one_cycle", "one_cycle_momentum", "flat_cos",
    "sgdr", "wsd", "inverse_sqrt", "multistep", "cyclic", "polynomial", "piecewise", "k_decay",
)  # fmt: skip
_METHODS = ("then", "clip", "reverse", "part", "warp", "repeat")
_OPERATIONS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def read_schedule(text: str) -> lehr.Schedule:
    """Return the schedule that `text` writes as a call of lehr's, or as its JSON.

    Nothing else is run: names are those of the functions that make schedules and of the methods
    that make one from another; arguments are calls of these, numbers, words, arithmetic, and lists.

    Raises:
        ValueError: It is none; the message says at what.
        TypeError: An argument is of the wrong kind.

    Example:
        >>> read_schedule("SchedCos(1e-3 / 4, 0)")
        SchedCos(0.00025, 0.0)
    """
    if text.lstrip().startswith("{"):
        return lehr.Schedule.from_json(text)
    try:
        schedule = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        message = f"it is no expression: {getattr(error, 'msg', None) or error}"
        raise ValueError(message) from error
    if isinstance(schedule, lehr.PresetSpec):
        message = f"`{schedule!r}` needs to know the run: write lengths as shares of it"
        raise ValueError(message)  # noqa: TRY004 (of the text's value, not of its kind)
    if not isinstance(schedule, lehr.Schedule):
        message = f"it is {schedule!r}, not a schedule; write one of {', '.join(_NAMES)}"
        raise ValueError(message)  # noqa: TRY004 (of the text's value, not of its kind)
    return schedule


def _value(node: ast.expr) -> Any:  # noqa: PLR0911 (a return for each form)
    match node:
        case ast.Constant(value=bool() | complex()):
            pass
        case ast.Constant(value=int() | float() | str() | None as value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATIONS:
            return _number(op, operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _number(op, left, right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _NAMES:
            return _call(getattr(lehr, name), args, keywords)
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="lehr"), attr=name), args=args, keywords=keywords
        ) if name in _NAMES:
            return _call(getattr(lehr, name), args, keywords)
        case ast.Call(func=ast.Attribute(value=of, attr=name), args=args, keywords=keywords) if (
            name in _METHODS and isinstance(schedule := _value(of), lehr.Schedule)
        ):
            return _call(getattr(schedule, name), args, keywords)
    message = (
        f"`{ast.unparse(node)}` is not understood; write calls of {', '.join(_NAMES)}, with "
        "numbers and lists"
    )
    raise ValueError(message)


def _call(function: Callable[..., Any], args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
    named = {word.arg: _value(word.value) for word in keywords if word.arg is not None}
    if len(named) < len(keywords):
        message = "`**` is not understood"
        raise ValueError(message)
    return function(*[_value(arg) for arg in args], **named)


def _number(op: ast.operator | ast.unaryop, *nodes: ast.expr) -> Any:
    values = [_value(node) for node in nodes]
    schedules = any(isinstance(value, lehr.Schedule) for value in values)
    if schedules and isinstance(op, (ast.Add, ast.Mult)):
        return _OPERATIONS[type(op)](*values)
    if not all(isinstance(value, (int, float)) for value in values):
        message = "arithmetic is between numbers; schedules are added and multiplied"
        raise ValueError(message)
    try:
        return _OPERATIONS[type(op)](*map(float, values))
    except (ArithmeticError, OverflowError) as error:
        raise ValueError(str(error)) from error


@click.command()
@click.argument("schedule")
@click.option(
    "--out",
    default="schedule.png",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write; its suffix says the format: png, svg, pdf.",
)
@click.option("--log", is_flag=True, help="Logarithmic values.")
def plot(schedule: str, out: Path, log: bool) -> None:
    """Draw SCHEDULE, a call of lehr's functions or a schedule's JSON, to a file.

    \b
    Examples:
      lehr plot 'combined_cos(0.25, 4e-5, 1e-3, 1e-8)'
      lehr plot 'SchedExp(1e-2, 1e-5)' --log --out decay.svg
      lehr plot 'warmup(sgdr(1e-3, cycles=3, decay=0.5), 0.1).clip(low=1e-5)'
      lehr plot 'combine_scheds([0.1, 0.9], [SchedLin(0, 1e-3), SchedCos(1e-3, 0)])'
    """  # noqa: D301 (click reads the control character)
    try:
        read = read_schedule(schedule)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="'SCHEDULE'") from error
    matplotlib = need("matplotlib", "a picture")
    matplotlib.use("agg")
    from lehr.plotting import plot_schedule

    try:
        axes = plot_schedule(read)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'SCHEDULE'") from error
    lines: Any = axes.get_lines()
    if log and min(line.get_ydata().min() for line in lines) <= 0:
        raise click.BadParameter("the schedule has values of 0 or below", param_hint="'--log'")
    if log:
        axes.set_yscale("log")
    axes.set_title(schedule if len(schedule) <= 80 else f"{schedule[:79]}\u2026", fontsize="small")  # noqa: PLR2004
    figure: Any = axes.figure
    known = sorted(figure.canvas.get_supported_filetypes())
    if out.suffix.lstrip(".").lower() not in known:
        message = f"the suffix of {str(out)!r} must be one of {', '.join(known)}"
        raise click.BadParameter(message, param_hint="'--out'")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, bbox_inches="tight")
    click.echo(f"{out} written")
