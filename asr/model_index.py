"""The models that can be pulled by name: an index, written by whoever runs the machines or publishes the models.

    [models.en-large]
    url = "en-large.zip"            # an address, or a path as seen from the index
    sha256 = "9f86d0..."            # of the archive
    size = 81264003                 # bytes; optional, as is what follows
    licence = "Apache-2.0"
    languages = ["en"]

A path or an https address of such a TOML file in, `Entry` values by name out. No index is built in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from asr import http_get
from asr.errors import OptionError

MAX_BYTES = 1_000_000  # an entry has some 300 bytes
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be pulled. ``source`` is a path or an address; ``size`` in bytes where it is known."""

    name: str
    source: str
    sha256: str
    size: int | None = None
    licence: str | None = None
    languages: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "sha256": self.sha256,
            "size_bytes": self.size,
            "licence": self.licence,
            "languages": list(self.languages),
        }


def read(place: str) -> dict[str, Entry]:
    """The index at a path or an https address. Raises OptionError for what is no index, DownloadError, OSError."""
    text = http_get.text(place, MAX_BYTES) if is_address(place) else Path(place).read_text(encoding="utf-8")
    try:
        models = tomllib.loads(text)["models"]
        return {name: _entry(name, values, place) for name, values in models.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise OptionError(f"{place} is no index of models: {wrong}") from error


def is_address(text: str) -> bool:
    """Whether it is one, rather than a path or a name."""
    return "://" in text


def _entry(name: str, values: Mapping[str, Any], place: str) -> Entry:
    url, sha256, size = values["url"], values["sha256"], values.get("size")
    if not isinstance(url, str) or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise ValueError(f"{name}: url must be text, and sha256 64 hexadecimal digits")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"{name}: size is {size!r}; expected a number of bytes")
    languages = values.get("languages", [])
    if not isinstance(languages, list) or not all(isinstance(language, str) for language in languages):
        raise ValueError(f"{name}: languages is {languages!r}; expected a list of codes")
    return Entry(name, _placed(url, place), sha256, size, values.get("licence"), tuple(languages))


def _placed(url: str, place: str) -> str:
    """Where the archive is, as seen from the index."""
    if is_address(url):
        return url
    return urljoin(place, url) if is_address(place) else str(Path(place).parent / url)
