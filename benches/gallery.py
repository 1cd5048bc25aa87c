"""Write `docs/gallery.md` and its pictures: `make gallery`.

The entries below are all there is: the pictures and the page are made from them.
"""

import textwrap
from pathlib import Path
from typing import NamedTuple

import lehr

DOCS = Path(__file__).parent.parent / "docs"
PICTURES = DOCS / "pictures"

HEAD = """\
# Gallery of schedules

Every shape, preset and operation: its picture, its formula, the call that draws it, and when it is
used. `pos` is the share of training done, from 0 to 1; `p` is that of the phase a line is about.
A peak of 1 stands for any. Every value can be a list, one for each parameter group; every length of
a preset can be a text such as `"500 steps"`. `make gallery` writes this page.

```python
import lehr
```
"""

# What the operations are done with.
OPERANDS = {"f": "lehr.SchedCos(1, 0)", "g": "lehr.SchedLin(0.2, 0.6)"}


class Entry(NamedTuple):
    """One picture: of each line its label and the call; and the same of the axes below."""

    title: str
    lines: dict[str, str]
    formula: str
    remark: str
    below: dict[str, str] | None = None
    # Those of the operands that are drawn in grey.
    operands: str = ""

    @property
    def calls(self):
        """Every call of the entry, in the order of the page."""
        return [*self.lines.values(), *(self.below or {}).values()]

    @property
    def picture(self):
        """Name of the picture's file."""
        words = "".join(c if c.isalnum() else " " for c in self.title.lower()).split()
        return f"gallery-{'-'.join(words)}.png"


SHAPES = (
    Entry(
        "SchedNo",
        {"": "lehr.SchedNo(1, 1)"},
        "start",
        "A rate that stays, and the flat phase of a longer schedule.",
    ),
    Entry(
        "SchedLin",
        {"": "lehr.SchedLin(1, 0)"},
        "start + (end - start) pos",
        "The usual decay of fine-tuning, and the usual warmup.",
    ),
    Entry(
        "SchedCos",
        {"": "lehr.SchedCos(1, 0)"},
        "start + (end - start) (1 - cos(pi pos)) / 2",
        "The usual decay of models trained from scratch: slow at both ends.",
    ),
    Entry(
        "SchedExp",
        {"": "lehr.SchedExp(1, 0.01)"},
        "start (end / start)**pos",
        "The same factor every epoch; sweeps over orders of magnitude, as an LR finder makes.",
    ),
    Entry(
        "SchedPoly",
        {
            "power 0.5": "lehr.SchedPoly(1, 0, 0.5)",
            "power 2": "lehr.SchedPoly(1, 0, 2)",
            "power 4": "lehr.SchedPoly(1, 0, 4)",
        },
        "start + (end - start) pos**power",
        "Decays that fall at once (power below 1) or late (above 1).",
    ),
    Entry(
        "SchedInverseSqrt",
        {"": "lehr.SchedInverseSqrt(1, 0.2)"},
        "1 / sqrt((1 - pos) / start**2 + pos / end**2)",
        "A stretch of the decay of Transformers, from one value to another.",
    ),
    Entry(
        "SchedTanh",
        {
            "-7 to 3": "lehr.SchedTanh(1, 0)",
            "-3 to 3": "lehr.SchedTanh(1, 0, lower=-3, upper=3)",
        },
        "start + (end - start) (tanh(u) - tanh(lower)) / (tanh(upper) - tanh(lower)),\n"
        "u = lower + (upper - lower) pos",
        "Image models: high for longer than a cosine, then a steeper fall.",
    ),
    Entry(
        "combined_cos",
        {"": "lehr.combined_cos(0.25, 0.2, 1, 0)"},
        "SchedCos(start, middle) for the share pct, then SchedCos(middle, end)",
        "The two cosines of fastai's `fit_one_cycle`, with values of one's own.",
    ),
    Entry(
        "combine_scheds",
        {
            "": "lehr.combine_scheds([0.2, 0.5, 0.3], "
            "[lehr.SchedLin(0, 1), lehr.SchedNo(1, 1), lehr.SchedCos(1, 0.1)])"
        },
        "scheds[i](p) in phase i, which has the share pcts[i] of training",
        "Any schedule with phases that has no name below.",
    ),
)

PRESETS = (
    Entry(
        "warmup",
        {
            "linear": "lehr.warmup(lehr.SchedCos(1, 0), 0.3, start_factor=0.05)",
            "cosine": 'lehr.warmup(lehr.SchedCos(1, 0), 0.3, start_factor=0.05, shape="cosine")',
            "exponential": "lehr.warmup(lehr.SchedCos(1, 0), 0.3, start_factor=0.05, "
            'shape="exponential")',
        },
        "from start_factor * schedule(0) to schedule(0) over length, then schedule(p)",
        "Large batches, Adam and Transformers, whose first steps are too large at the full rate.",
    ),
    Entry(
        "one_cycle",
        {
            "cosine": "lehr.one_cycle(1)",
            "linear": 'lehr.one_cycle(1, shape="linear")',
        },
        "peak / div to peak over pct, then to peak / div / final_div;\n"
        "the momentum from high to low over pct, and back to high",
        "Short trainings at high rates; the momentum is low while the rate is high.",
        {
            "cosine": "lehr.one_cycle_momentum()",
            "linear": 'lehr.one_cycle_momentum(shape="linear")',
        },
    ),
    Entry(
        "one_cycle, three phases",
        {
            "cosine": "lehr.one_cycle(1, phases=3, pct=0.4)",
            "linear": 'lehr.one_cycle(1, phases=3, pct=0.4, shape="linear")',
        },
        "peak / div to peak over pct, back over pct, then to peak / div / final_div;\n"
        "the momentum from high to low and back, then high",
        "The 1cycle of the paper: as long down as up, and a last phase far below the first rate.",
        {
            "cosine": "lehr.one_cycle_momentum(phases=3, pct=0.4)",
            "linear": 'lehr.one_cycle_momentum(phases=3, pct=0.4, shape="linear")',
        },
    ),
    Entry(
        "flat_cos",
        {"": "lehr.flat_cos(1)"},
        "peak for the share flat, then SchedCos(peak, end)",
        "Optimizers that need no warmup, such as RAdam or Ranger; fastai's `fit_flat_cos`.",
    ),
    Entry(
        "sgdr, longer cycles",
        {"": "lehr.sgdr(1, cycles=3, mult=2)"},
        "SchedCos(peak, end) in every cycle, each mult times as long as the one before",
        "Warm restarts: good models at the end of every cycle, for ensembles or early stops.",
    ),
    Entry(
        "sgdr, lower peaks",
        {"": "lehr.sgdr(1, end=0.05, cycles=5, decay=0.7)"},
        "SchedCos(peak decay**i, end) in cycle i",
        "Restarts that disturb the training less each time.",
    ),
    Entry(
        "sgdr, first",
        {"": "lehr.sgdr(1, first=0.2, mult=1.5)"},
        "cycles of first, first mult, first mult**2, ... until training ends",
        "Cycles of a known length, whatever the training's; its end cuts off the last.",
    ),
    Entry(
        "wsd, decays",
        {
            "linear": "lehr.wsd(1, decay=0.5)",
            "cosine": 'lehr.wsd(1, decay=0.5, decay_shape="cosine")',
            "1-sqrt": 'lehr.wsd(1, decay=0.5, decay_shape="1-sqrt")',
            "power 2": 'lehr.wsd(1, decay=0.5, decay_shape="power", power=2)',
            "exponential": 'lehr.wsd(1, decay=0.5, end=0.01, decay_shape="exponential")',
        },
        "from start * peak to peak over warmup; peak; over decay, from s, the value before it:\n"
        "linear       s + (end - s) p\n"
        "cosine       s + (end - s) (1 - cos(pi p)) / 2\n"
        "1-sqrt       s + (end - s) sqrt(p)\n"
        "power        end + (s - end) (1 - p)**power\n"
        "exponential  s (end / s)**p",
        "Pretraining of language models: the stable phase can go on for as long as there is data.",
    ),
    Entry(
        "wsd, stable phases",
        {
            "constant": "lehr.wsd(1)",
            "rsqrt": 'lehr.wsd(1, stable="rsqrt")',
            "rsqrt, timescale 0.3": 'lehr.wsd(1, stable="rsqrt", timescale=0.3)',
        },
        "constant  peak\nrsqrt     peak sqrt(timescale / (timescale + pos - warmup))",
        "An inverse square root trains at lower rates the longer it goes on.",
    ),
    Entry(
        "inverse_sqrt",
        {
            "timescale 0.1, the warmup": "lehr.inverse_sqrt(1)",
            "timescale 0.4": "lehr.inverse_sqrt(1, timescale=0.4)",
        },
        "from start * peak to peak over warmup,\n"
        "then peak sqrt(timescale / (timescale + pos - warmup))",
        "The first Transformers, and trainings whose end is not known; timescale is warmup by "
        "default.",
    ),
    Entry(
        "multistep",
        {"": "lehr.multistep(1, [0.3, 0.6, 0.9], gamma=0.5)"},
        "start gamma**(milestones reached)",
        "Image classifiers such as ResNet, mostly with gamma=0.1.",
    ),
    Entry(
        "cyclic, triangular",
        {
            "up 0.5": "lehr.cyclic(0.1, 1, cycles=4)",
            "up 0.2": "lehr.cyclic(0.1, 1, cycles=4, up=0.2)",
        },
        "low + (high - low) wave, wave from 0 to 1 over the share up of a cycle, and back to 0",
        "Rates that sweep a good range again and again instead of one that is tuned.",
    ),
    Entry(
        "cyclic, triangular2",
        {"": 'lehr.cyclic(0.1, 1, cycles=4, mode="triangular2")'},
        "low + (high - low) wave / 2**i in cycle i",
        "The same, settling: half the height every cycle.",
    ),
    Entry(
        "cyclic, exp_range",
        {"": 'lehr.cyclic(0.1, 1, cycles=4, mode="exp_range", gamma=0.2)'},
        "low + (high - low) wave gamma**pos",
        "The same, settling evenly: gamma is the height at the end over that at the start.",
    ),
    Entry(
        "polynomial",
        {
            "remaining, power 0.9": "lehr.polynomial(1, 0, 0.9)",
            "remaining, power 2": "lehr.polynomial(1, 0, 2)",
            "done, power 2": 'lehr.polynomial(1, 0, 2, of="done")',
        },
        "remaining  end + (start - end) (1 - pos)**power\n"
        "done       start + (end - start) pos**power",
        "Segmentation, with power=0.9. Libraries differ in which share is meant.",
    ),
    Entry(
        "piecewise",
        {
            "linear": "lehr.piecewise([(0, 0.1), (0.2, 1), (0.6, 0.4), (1, 0)])",
            "cosine": 'lehr.piecewise([(0, 0.1), (0.2, 1), (0.6, 0.4), (1, 0)], shape="cosine")',
        },
        "SchedLin or SchedCos from each point to the next",
        "A schedule drawn by hand, or read off another's picture.",
    ),
    Entry(
        "k_decay",
        {
            "cosine, k 1.5": "lehr.k_decay(1)",
            "cosine, k 4": "lehr.k_decay(1, k=4)",
            "linear, k 4": 'lehr.k_decay(1, k=4, shape="linear")',
        },
        "cosine  end + (start - end) (1 + cos(pi pos**k)) / 2\n"
        "linear  end + (start - end) (1 - pos**k)",
        "A decay that stays high for longer, by one number.",
    ),
)

ALGEBRA = (
    Entry(
        "sum, f + g",
        {"f + g": "f + g"},
        "f(pos) + g(pos)",
        "A floor under a decay, or a wave upon it.",
        operands="fg",
    ),
    Entry(
        "product, f * g",
        {"f * g": "f * g", "0.5 * f": "0.5 * f"},
        "f(pos) g(pos)",
        "An envelope over waves, or a rate times a factor; a list of factors gives one a group.",
        operands="fg",
    ),
    Entry(
        "then",
        {"f.then(g, 0.4)": "f.then(g, 0.4)"},
        "f over the share 0.4 of training, then g over the rest",
        "Two schedules one after the other, each in full.",
        operands="fg",
    ),
    Entry(
        "clip",
        {"f.clip(0.2, 0.8)": "f.clip(0.2, 0.8)"},
        "min(max(f(pos), low), high)",
        "A least rate for any decay.",
        operands="f",
    ),
    Entry(
        "reverse",
        {"f.reverse()": "f.reverse()"},
        "f(1 - pos)",
        "A decay as a warmup, or a momentum that goes the other way.",
        operands="f",
    ),
    Entry(
        "part",
        {"f.part(0.3, 0.7)": "f.part(0.3, 0.7)", "f.part(0, 2)": "f.part(0, 2)"},
        "f(start + (end - start) pos)",
        "The rest of a schedule for a training that goes on; beyond 1 a cosine rises again.",
        operands="f",
    ),
    Entry(
        "warp",
        {"f.warp(0.5)": "f.warp(0.5)", "f.warp(3)": "f.warp(3)"},
        "f(pos**power)",
        "Any schedule earlier (power below 1) or later (above 1): the k of a k-decay.",
        operands="f",
    ),
    Entry(
        "repeat",
        {"f.repeat(4)": "f.repeat(4)"},
        "f(p) in each of times runs",
        "Restarts and cycles of anything.",
        operands="f",
    ),
    Entry(
        "repeat, stretch",
        {"f.repeat(3, stretch=2)": "f.repeat(3, stretch=2)"},
        "the same, each run stretch times as long as the one before",
        "Restarts further and further apart; below 1, closer and closer.",
        operands="f",
    ),
)

SECTIONS = {"Shapes": SHAPES, "Presets": PRESETS, "Algebra": ALGEBRA}
ENTRIES = (*SHAPES, *PRESETS, *ALGEBRA)


def names():
    """What the calls of the page find."""
    known = {"lehr": lehr}
    return known | {name: eval(call, known) for name, call in OPERANDS.items()}


def python(lines):
    code = "\n".join(lines)
    return f"```python\n{code}\n```\n"


def page():
    """The text of `docs/gallery.md`."""
    parts = [HEAD]
    for section, entries in SECTIONS.items():
        parts.append(f"## {section}\n")
        if entries is ALGEBRA:
            parts.append("Done with these two, in grey:\n")
            parts.append(python(f"{name} = {call}" for name, call in OPERANDS.items()))
        for entry in entries:
            parts += (
                f"### {entry.title}\n",
                f"![{entry.title}](pictures/{entry.picture})\n",
                "\n".join(textwrap.wrap(entry.remark, 100)) + "\n",
                f"```text\n{entry.formula}\n```\n",
                python(entry.calls),
            )
    return "\n".join(parts)


def draw(entry):
    """The figure of an entry."""
    import matplotlib.pyplot as plt

    known = names()
    panels = [lines for lines in (entry.lines, entry.below) if lines]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(4.8, 2.4 if len(panels) == 1 else 3.6),
        height_ratios=[2, 1][: len(panels)],
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, lines in zip(axes[:, 0], panels, strict=True):
        for name, style in zip(entry.operands, ("--", ":"), strict=False):
            known[name].plot(ax)
            ax.lines[-1].set(color="0.6", linestyle=style, label=name)
        for index, (label, call) in enumerate(lines.items()):
            eval(call, known).plot(ax)
            # Where lines lie upon each other the first is seen.
            ax.lines[-1].set(color=f"C{index}", linewidth=2, label=label, zorder=3 - index / 10)
        ax.set(xlabel="", ylabel="", xlim=(-0.01, 1.01))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.92")
        ax.tick_params(labelsize=8)
    top = axes[0, 0]
    top.set_ylim(-0.05, 1.06 * max(line.get_ydata().max() for line in top.lines))
    if len(top.lines) > 1:
        figure.legend(
            *top.get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(top.lines),
            fontsize=8,
            frameon=False,
            handlelength=1.6,
            columnspacing=1.4,
        )
    axes[-1, 0].set_xlabel("pos", fontsize=8)
    if entry.below:
        top.set_ylabel("rate", fontsize=8)
        axes[1, 0].set_ylabel("momentum", fontsize=8)
    return figure


def save(figure, path):
    """Write a figure in few colours: a third of the size."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=140)
    Image.open(buffer).convert("RGB").quantize(48, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def main():
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    for old in PICTURES.glob("gallery-*.png"):
        old.unlink()
    for entry in ENTRIES:
        figure = draw(entry)
        save(figure, PICTURES / entry.picture)
        plt.close(figure)
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")
    size = sum(path.stat().st_size for path in PICTURES.glob("gallery-*.png"))
    print(f"{len(ENTRIES)} pictures, {size / 1e3:.0f} kB, and {DOCS / 'gallery.md'}")


if __name__ == "__main__":
    main()
