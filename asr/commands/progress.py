"""What a person at a terminal sees meanwhile: messages and a progress bar, both on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def say(message: str) -> None:
    """One line on stderr, above a progress bar if there is one."""
    tqdm.write(message, file=sys.stderr)


def progress(items: Sequence[Item], unit: str, results_on_stdout: bool) -> Iterable[Item]:
    """The items, with a bar on stderr if it is a terminal, there are several, and no results mix with it."""
    mixed = results_on_stdout and sys.stdout.isatty()
    if len(items) < 2 or mixed or not sys.stderr.isatty():
        return items
    bar: Iterable[Item] = tqdm(items, unit=unit, file=sys.stderr)
    return bar
