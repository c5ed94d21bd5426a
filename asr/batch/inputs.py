"""What a job reads: a folder, a glob, a manifest or a Parquet file in; clips in order of their paths out.

A clip is named by its path relative to the job's root: the folder, the part of the glob before its first wildcard,
the folder of the manifest or Parquet file. Rows say that name, so they do not depend on where the root lies.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from asr.audio import kind_of
from asr.batch import parquet
from asr.digest import file_digest
from asr.errors import OptionError
from asr.manifest import read_manifest

# What people take for audio, MP4 and its like too: those get a row that says what to do, not silence.
SUFFIXES = frozenset(
    {
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".webm",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
    }
    | {".sph", ".m4a", ".aac", ".wma", ".amr"}
)
MANIFEST_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
PARQUET_SUFFIX = ".parquet"
HEAD_BYTES = 64  # as much as `kind_of` looks at


@dataclass(frozen=True, slots=True)
class Input:
    """A clip and what tells whether it was changed: size and time of change, or its SHA-256 where that was asked for.

    ``audio`` is its path relative to the root. All else is None for a file that is not there.
    """

    audio: str
    size: int | None = None
    mtime_ns: int | None = None
    sha256: str | None = None

    def is_unchanged_since(self, earlier: Input) -> bool:
        """Whether the file is still what it was. Where both have a SHA-256, the time of change says nothing."""
        if self.sha256 and earlier.sha256:
            return self.sha256 == earlier.sha256
        return (self.size, self.mtime_ns) == (earlier.size, earlier.mtime_ns)


@dataclass(frozen=True, slots=True)
class Source:
    """The clips of a job, sorted by name, none twice, and the folder that their names are relative to."""

    root: Path
    inputs: tuple[Input, ...]


def find(name: str, output: Path, column: str | None = None, *, checksum: bool = False) -> Source:
    """The clips of INPUT. What lies in ``output`` is none of them.

    ``column`` is that of a Parquet file; ``checksum`` reads every file. Raises OptionError where there is nothing,
    OSError, and MissingPackageError for a Parquet file without pyarrow.
    """
    root, names = _names(name, output, column)
    inputs = [_seen(root, audio) for audio in sorted(set(names))]
    if not inputs:
        raise OptionError(f"{name}: no audio there; give a folder, a glob, a manifest or a Parquet file")
    if checksum:
        with ThreadPoolExecutor() as threads:  # hashing lets other threads run
            inputs = list(threads.map(lambda clip: _with_digest(root, clip), inputs))
    return Source(root, tuple(inputs))


def _names(name: str, output: Path, column: str | None) -> tuple[Path, Iterable[str]]:
    path = Path(name)
    if path.is_dir():
        return path.resolve(), _in_folder(path, output.resolve())
    if not path.exists() and glob.has_magic(name):
        return _in_glob(name)
    root = path.parent.resolve()
    if path.suffix.lower() == PARQUET_SUFFIX:
        return root, parquet.read_column(path, column)
    if path.suffix.lower() in MANIFEST_SUFFIXES:
        return root, (reference.audio for reference in read_manifest(path, spoken=False))
    if not _sounds(path):
        raise OptionError(
            f"{name} is no folder, glob, manifest ({', '.join(sorted(MANIFEST_SUFFIXES))}), Parquet file "
            f"({PARQUET_SUFFIX}) or audio"
        )
    return root, [path.name]


def _in_folder(folder: Path, output: Path) -> Iterator[str]:
    """Audio by suffix or content, at any depth; hidden files and folders, and links to folders, are left alone."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] != "." and Path(parent, name).resolve() != output]
        for name in files:
            path = Path(parent, name)
            if name[0] != "." and _is_regular(path) and _sounds(path):
                yield str(path.relative_to(folder))


def _in_glob(pattern: str) -> tuple[Path, list[str]]:
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:first])
    # Not Path.glob, for which hidden files are like any other.
    found = glob.glob(str(Path(*parts[first:])), root_dir=root, recursive=True)  # noqa: PTH207  # see above
    return root.resolve(), [name for name in found if not (root / name).is_dir()]


def _sounds(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return kind_of(stream.read(HEAD_BYTES)) is not None
    except PermissionError:  # nothing says that it is audio
        return False


def _is_regular(path: Path) -> bool:
    """Not a pipe, which would keep whoever opens it, nor a link that leads nowhere."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _seen(root: Path, audio: str) -> Input:
    try:
        found = (root / audio).stat()
    except (OSError, ValueError):  # its row will say what is wrong with it
        return Input(audio)
    return Input(audio, found.st_size, found.st_mtime_ns)


def _with_digest(root: Path, clip: Input) -> Input:
    try:
        return (
            replace(clip, sha256=file_digest(root / clip.audio)) if _is_regular(root / clip.audio) else clip
        )
    except OSError:
        return clip
