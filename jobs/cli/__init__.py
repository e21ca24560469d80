"""The command line `personalake`."""

from jobs.cli.app import main

__all__ = ["main"]
