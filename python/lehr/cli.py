"""The command `lehr`."""

from __future__ import annotations

import sys

from lehr._extras import need


def main() -> None:
    """Run the command line."""
    try:
        need("click", "the lehr command")
    except ImportError as error:
        sys.exit(f"lehr: {error}")
    from lehr.commands import lehr

    lehr(prog_name="lehr")


if __name__ == "__main__":
    main()
