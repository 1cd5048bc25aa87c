"""The commands of `lehr`, one file each."""

from __future__ import annotations

from typing import Any

import click

from lehr.commands.demo import demo
from lehr.commands.logs import logs
from lehr.commands.plot import plot


class _Commands(click.Group):
    """A group whose commands say in one line what a user can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ImportError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lehr")
def lehr() -> None:
    """Hyper-parameter schedules, an LR finder and LR-log analysis for PyTorch."""


lehr.add_command(demo)
lehr.add_command(logs)
lehr.add_command(plot)
