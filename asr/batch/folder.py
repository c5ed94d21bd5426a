"""The folder of a job: one writer at a time, and ``job.json``, which says what its rows were made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.batch import atomic, outputs
from asr.errors import OptionError

FORMAT = 1
MANIFEST = "job.json"
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class JobFile:
    """``job.json``: the settings of `Pipeline.settings`, and the outputs that are kept up to date."""

    settings: dict[str, Any]
    formats: tuple[str, ...]
    per_word: bool

    @classmethod
    def read(cls, folder: Path) -> JobFile | None:
        """None for a new folder. Raises OptionError for a file that is none of ours."""
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_bytes())
            if values["format"] != FORMAT:
                raise OptionError(
                    f"{path} has format {values['format']}; this version writes format {FORMAT}"
                )
            found = cls(dict(values["settings"]), tuple(values["outputs"]), bool(values["per_word"]))
        except FileNotFoundError:
            return None
        except OptionError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise OptionError(f"{path} is not what this command writes; choose another folder") from error
        return found

    def write(self, folder: Path) -> None:
        """Replace the one in ``folder``."""
        values = {
            "format": FORMAT,
            "settings": self.settings,
            "outputs": self.formats,
            "per_word": self.per_word,
        }
        atomic.write(folder / MANIFEST, (json.dumps(values, indent=2) + "\n").encode())

    @property
    def digest(self) -> str:
        """What tells rows of these settings from those of others."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    def following(self, before: JobFile | None) -> JobFile:
        """With the outputs made before too: they must not grow stale. In order, whatever order they came in."""
        if before is None:
            return self
        asked = {*self.formats, *before.formats}
        return replace(
            self,
            formats=tuple(name for name in outputs.FORMATS if name in asked),
            per_word=self.per_word if self.formats else before.per_word,
        )

    def differences(self, before: JobFile | None) -> str:
        """The settings that are others than before, with both values; empty where none is."""
        if before is None:
            return ""
        now = json.loads(json.dumps(self.settings))  # tuples become lists there
        return "; ".join(
            f"{name} was {json.dumps(before.settings.get(name))}, is {json.dumps(now.get(name))}"
            for name in sorted(before.settings.keys() | now.keys())
            if before.settings.get(name) != now.get(name)
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for one job at a time. A kill frees it.

    Raises OptionError where another job is at it, or it holds files that no job has written.
    """
    import fcntl  # not on Windows, where the other verbs work

    if folder.is_dir() and not (folder / MANIFEST).exists() and any(map(_is_foreign, folder.iterdir())):
        raise OptionError(f"{folder} holds other files and no {MANIFEST}; choose an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OptionError(f"another job is writing to {folder}; wait for it, or end it") from error
        yield


def _is_foreign(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != MANIFEST + atomic.TEMPORARY
