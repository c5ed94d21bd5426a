"""A catalogue on disk: the words and sentences people would search it with, ready for the decoder.

    drinks/
      catalog.json   settings, the token set of the pronunciations, SHA-256 of every other file
      lexicon.txt    lines "word TOKEN TOKEN ...", as a bundle's
      lm.arpa.gz     n-gram model of the sentences

In: such a folder. Out: a verified `Catalog`. How one is made from items is ``asr.catalog_build``.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.digest import file_digest
from asr.errors import CatalogDigestError, CatalogError, OptionError
from asr.lexicon import Pronunciation, read_lexicon
from asr.ngram import NGramModel

FORMAT = 1
MANIFEST = "catalog.json"
LEXICON = "lexicon.txt"
LM = "lm.arpa.gz"
DEFAULT_WEIGHT = 0.5

Pronunciations = Mapping[str, Sequence[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Catalog:
    """A verified folder. ``weight`` is the probability that what is said asks for an item of it."""

    folder: Path
    tokens: tuple[str, ...]
    weight: float
    n_items: int
    n_sentences: int

    @property
    def lm(self) -> Path:
        """The n-gram model (ARPA, gzip)."""
        return self.folder / LM

    def lexicon(self, tokens: Sequence[str]) -> list[Pronunciation]:
        """The words with columns of a model whose ``tokens`` are these. Raises CatalogError for others."""
        if tuple(tokens) != self.tokens:
            raise CatalogError(
                f"{self.folder} was built for {len(self.tokens)} tokens ({digest_of(self.tokens)[:12]}); the "
                f"model has {len(tokens)} ({digest_of(tokens)[:12]}). Build the catalogue again for this model"
            )
        return read_lexicon(self.folder / LEXICON, tokens)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a build has found, to be written: sentences' model, words' pronunciations, counts."""

    model: NGramModel
    pronunciations: Pronunciations
    tokens: tuple[str, ...]
    weight: float
    n_items: int
    n_sentences: int


def check_weight(weight: float) -> float:
    """Raise OptionError where ``weight`` is no probability that leaves room for both models."""
    if not 0.0 < weight < 1.0:
        raise OptionError(f"catalogue weight is {weight}; it must lie between 0 and 1, both excluded")
    return weight


def write(folder: Path, contents: Contents) -> Catalog:
    """Write a catalogue into ``folder``, which is made; files of an earlier one are replaced."""
    check_weight(contents.weight)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LEXICON).open("w", encoding="utf-8", newline="\n") as lines:
        for word, said in contents.pronunciations.items():
            lines.writelines(f"{word} {' '.join(phones)}\n" for phones in said)
    # mtime 0: the same items give the same bytes.
    with gzip.GzipFile(folder / LM, "wb", mtime=0) as packed, io.TextIOWrapper(packed, "utf-8") as file:
        contents.model.write_arpa(file)
    values = {
        "format": FORMAT,
        "tokens": contents.tokens,
        "weight": contents.weight,
        "n_items": contents.n_items,
        "n_sentences": contents.n_sentences,
        "files": {name: file_digest(folder / name) for name in (LEXICON, LM)},
    }
    (folder / MANIFEST).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return read(folder)


def read(folder: Path) -> Catalog:
    """Read and verify. Raises CatalogError for what is no catalogue, CatalogDigestError for a changed file."""
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise CatalogError(f"{path} has format {values['format']}; this version reads format {FORMAT}")
        catalog = Catalog(
            folder,
            tuple(map(str, values["tokens"])),
            check_weight(float(values["weight"])),
            int(values["n_items"]),
            int(values["n_sentences"]),
        )
        recorded = {name: values["files"][name] for name in (LEXICON, LM)}
    except FileNotFoundError as error:
        raise CatalogError(
            f"{folder} is no catalogue: it has no {MANIFEST}; voicesearch catalog build makes one"
        ) from error
    except KeyError as error:
        raise CatalogError(f"{path} lacks {error}") from error
    except CatalogError:
        raise
    except (ValueError, TypeError) as error:
        raise CatalogError(f"{path} does not describe a catalogue: {error}") from error
    for name, expected in recorded.items():
        try:
            actual = file_digest(folder / name)
        except FileNotFoundError as error:
            raise CatalogError(f"{folder} lacks {name}, which its {MANIFEST} records") from error
        if actual != expected:
            raise CatalogDigestError(
                f"{folder / name} has SHA-256 {actual}; {MANIFEST} records {expected}. "
                "The file was changed or damaged: build the catalogue again"
            )
    return catalog


def digest_of(tokens: Sequence[str]) -> str:
    """SHA-256 of a token set, in hexadecimal."""
    return hashlib.sha256(" ".join(tokens).encode()).hexdigest()
