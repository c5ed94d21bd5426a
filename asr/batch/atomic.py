"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"  # suffix of what was not finished
BLOCK_BYTES = 1 << 20


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of ``path`` once it is complete and on the disk.

    A file that has this content already is left as it is, with its time of change.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    if path.is_file() and _same(temporary, path):
        temporary.unlink()
        return
    temporary.replace(path)
    sync_folder(path.parent)


def write(path: Path, content: bytes) -> None:
    """Replace ``path``. See `replacing`."""
    with replacing(path) as stream:
        stream.write(content)


def _same(first: Path, second: Path) -> bool:
    """Whether two files have the same bytes. Not filecmp, which remembers answers by size and time of change."""
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while block := one.read(BLOCK_BYTES):
            if block != other.read(BLOCK_BYTES):
                return False
    return True


def sync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
