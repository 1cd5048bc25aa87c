"""Print one table of ratios: `make bench`, or `python benches/bench.py rules finder` for a part."""

import importlib
import sys

import timing

TOPICS = ("calls", "rules", "finder", "learner", "package")


def main():
    chosen = sys.argv[1:] or TOPICS
    unknown = [topic for topic in chosen if topic not in TOPICS]
    if unknown:
        sys.exit(f"unknown topic {unknown[0]!r}: choose from {', '.join(TOPICS)}")
    timing.heading()
    for topic in chosen:
        timing.show(importlib.import_module(topic).rows())


if __name__ == "__main__":
    main()
