"""Print one table of ratios: `make bench`, or `python benches/bench.py rules finder` for a part."""

import importlib
import sys

import timing

TOPICS = ("calls", "presets", "rules", "finder", "learner", "package")
# Those that need other libraries run by their names alone.
BESIDE_OTHERS = ("scheduler", "finders")
# A topic with a target of its own: it writes a large file.
ALONE = ("logs",)


def main():
    chosen = sys.argv[1:] or TOPICS
    known = TOPICS + BESIDE_OTHERS + ALONE
    unknown = [topic for topic in chosen if topic not in known]
    if unknown:
        sys.exit(f"unknown topic {unknown[0]!r}: choose from {', '.join(known)}")
    timing.heading()
    for topic in chosen:
        timing.show(importlib.import_module(topic).rows())


if __name__ == "__main__":
    main()
