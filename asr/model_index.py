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
from asr.errors import AsrError, OptionError

MAX_BYTES = 1_000_000  # an entry has some 300 bytes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a model, and so of its folder
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
    """The index at a path or an https address. Raises OptionError for what is no index,
    DownloadError and BundleError as `http_get.text` does, OSError."""
    try:
        text = http_get.text(place, MAX_BYTES) if is_address(place) else _text(Path(place))
        models = tomllib.loads(text)["models"]
        return {name: _entry(name, values, place) for name, values in models.items()}
    except AsrError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise OptionError(f"{http_get.shown(place)} is no index of models: {wrong}") from error


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes, the most that is taken")
    return content.decode("utf-8")


def is_address(text: str) -> bool:
    """Whether it is one, rather than a path or a name."""
    return "://" in text


def _entry(name: str, values: Mapping[str, Any], place: str) -> Entry:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a model: letters, digits and . _ - are allowed")
    url, sha256, size = values["url"], values["sha256"], values.get("size")
    if not isinstance(url, str) or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise ValueError(f"{name}: url must be text, and sha256 64 hexadecimal digits")
    if size is not None and (type(size) is not int or size < 1):  # True is an int, too
        raise ValueError(f"{name}: size is {size!r}; expected a number of bytes")
    licence, languages = values.get("licence"), values.get("languages", [])
    if licence is not None and not _is_line(licence):
        raise ValueError(f"{name}: licence is {licence!r}; expected one line of text")
    if not isinstance(languages, list) or not all(map(_is_line, languages)):
        raise ValueError(f"{name}: languages is {languages!r}; expected a list of codes")
    return Entry(name, _placed(url, place), sha256, size, licence, tuple(languages))


def _is_line(value: object) -> bool:
    """Whether it can be shown on a terminal as it is."""
    return isinstance(value, str) and value.isprintable()


def _placed(url: str, place: str) -> str:
    """Where the archive is, as seen from the index."""
    if is_address(url):
        return url
    return urljoin(place, url) if is_address(place) else str(Path(place).parent / url)
