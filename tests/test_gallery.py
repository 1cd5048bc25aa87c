"""The gallery of schedules: page, pictures and entries agree, and nothing is missing."""

import inspect
import sys
from pathlib import Path

import lehr
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.image import imread

sys.path.insert(0, str(Path(__file__).parents[1] / "benches"))

import gallery

CALLS = [(entry.title, call) for entry in gallery.ENTRIES for call in entry.calls]


@pytest.mark.parametrize(("title", "call"), CALLS, ids=[call for _, call in CALLS])
def test_call_of_an_entry_gives_a_schedule(title, call):
    schedule = eval(call, gallery.names())
    assert isinstance(schedule, lehr.Schedule)
    assert np.isfinite(schedule.values(100, end=True)).all()


def test_page_is_what_the_entries_say():
    assert (gallery.DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page()


def test_every_shape_preset_and_operation_is_on_the_page():
    public = {name: getattr(lehr, name) for name in lehr.__all__ if name not in lehr._LAZY}
    presets = {name for name, value in public.items() if inspect.isfunction(value)}
    presets = {name for name in presets if public[name].__module__ == "lehr.presets"}
    shapes = {name for name in public if name.startswith("Sched")} - {"Schedule"}
    assert len(presets) == 12
    assert len(shapes) == 7
    code = " ".join(call for _, call in CALLS)
    wanted = {f"lehr.{name}(" for name in presets | shapes | {"combine_scheds", "combined_cos"}}
    wanted |= {"f + g", "f * g", "0.5 * f"}
    wanted |= {f".{name}(" for name in ("then", "clip", "reverse", "part", "warp", "repeat")}
    assert not [text for text in wanted if text not in code]


def test_pictures_are_those_of_the_entries_and_small():
    pictures = {entry.picture for entry in gallery.ENTRIES}
    assert len(pictures) == len(gallery.ENTRIES)
    files = list(gallery.PICTURES.glob("gallery-*.png"))
    assert {path.name for path in files} == pictures
    assert sum(path.stat().st_size for path in files) < 600_000
    for path in files:
        assert imread(path).std() > 0


@pytest.mark.parametrize("title", ["multistep", "one_cycle", "sum, f + g"])
def test_drawing_of_an_entry_shows_every_call_s_values(title):
    (entry,) = (entry for entry in gallery.ENTRIES if entry.title == title)
    figure = gallery.draw(entry)
    lines = [line for ax in figure.axes for line in ax.lines if line.get_color() != "0.6"]
    for line, call in zip(lines, entry.calls, strict=True):
        pos, values = line.get_data()
        np.testing.assert_array_equal(values, eval(call, gallery.names())(pos))
    assert len(figure.axes[0].lines) == len(entry.lines) + len(entry.operands)
    plt.close(figure)
