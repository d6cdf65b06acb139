"""The command `pitcrew`. A command imports what it needs when it runs, so that `--help` and `get` answer at once."""

from pitcrew.entrypoints.cli.app import app, main

__all__ = ["app", "main"]
