"""Unpack an archive that nobody vouches for: zip or tar.gz in, plain files in a new folder out.

Refused: absolute names, ``..``, links, devices, encrypted or repeated entries, more than ``MAX_FILES`` files
or ``MAX_BYTES`` bytes unpacked (counted while writing: what an archive says of its sizes may be a lie).
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from asr.errors import BundleError

MAX_BYTES = 2_000_000_000  # 2 GB: a large speech model in fp32
MAX_FILES = 1_000
CHUNK_BYTES = 1 << 20

ZIP, GZIP = b"PK", b"\x1f\x8b"
DAMAGED = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    UnicodeError,
    NotImplementedError,  # a compression method that is not built in
    RuntimeError,  # an encrypted entry
)


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Write the archive's files below the new ``folder`` and return it. Raises BundleError."""
    folder.mkdir()
    left = max_bytes
    try:
        for count, (name, stream) in enumerate(_entries(archive), 1):
            if count > MAX_FILES:
                raise BundleError(f"{archive.name} holds more than {MAX_FILES} files")
            target = folder / _safe(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := stream.read(CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise BundleError(f"{archive.name} unpacks to more than {max_bytes} bytes")
                    file.write(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise BundleError(f"{archive.name} holds two entries for {error.filename}") from error
    except DAMAGED as error:
        raise BundleError(f"{archive.name} cannot be unpacked: {error}") from error
    return folder


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise BundleError(f"the archive holds {name!r}, which leads out of its folder")
    return path


def _entries(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file, as the archive names it. Told apart by content."""
    with archive.open("rb") as opened:
        head = opened.read(2)
    if head == ZIP:
        yield from _zip_entries(archive)
    elif head == GZIP:
        yield from _tar_entries(archive)
    else:
        raise BundleError(f"{archive.name} is neither a zip nor a tar.gz archive")


def _zip_entries(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            mode = entry.external_attr >> 16  # 0 where the archive was not made on a Unix
            if entry.is_dir():
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise BundleError(f"the archive holds {entry.filename!r}, which is not a plain file")
            with opened.open(entry) as stream:
                yield entry.filename, stream


def _tar_entries(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r:gz") as opened:
        for entry in opened:
            if entry.isdir():
                continue
            stream = opened.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise BundleError(f"the archive holds {entry.name!r}, which is not a plain file")
            with stream:
                yield entry.name, stream
