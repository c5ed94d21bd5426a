"""What a verb of ``voicesearch`` is. Verbs of other packages (entry points) are the same value."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

DONE = 0
SOME_FAILED = 1  # each failed input is named on stderr
BAD_USAGE = 2  # also what argparse exits with

DISTRIBUTION = "voicesearch"


@dataclass(frozen=True, slots=True)
class Command:
    """One verb: its name, one line of help, its arguments, and what runs (returns the exit code)."""

    name: str
    summary: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def version() -> str:
    """Version of the installed distribution, or a note that this is a source tree."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "(source tree, not installed)"
