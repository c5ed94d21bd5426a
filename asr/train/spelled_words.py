"""Words for networks that spell: those of a bundle, written in letters, and its language model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr import bundle
from asr.bundle import DecoderSettings
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.errors import OptionError
from asr.letters import spellings
from asr.lexicon import read_lexicon

LEXICON = "lexicon.txt"


@dataclass(frozen=True, slots=True)
class Words:
    """Decoder settings and the files that they name, with their licence.

    ``left_out`` of the bundle's words have letters that are no tokens.
    """

    decoder: DecoderSettings
    files: tuple[Path, ...] = ()
    licence: str | None = None
    left_out: int = 0


def without_lexicon(separator: str) -> Words:
    """The best path alone spells what it will."""
    return Words(DecoderSettings(None, None, DecoderOptions(), Calibration(), separator=separator))


def of_bundle(model: str, tokens: Sequence[str], separator: str, folder: Path) -> Words:
    """The words of a bundle as letters, written into ``folder``. Raises BundleError, OptionError."""
    place = bundle.find(model)
    info = bundle.read(place)
    bundle.verify(place, info)
    if info.decoder.lexicon is None:
        raise OptionError(f"{info.identity} has no lexicon to take words from")
    known = (place / "tokens.txt").read_text(encoding="utf-8").split()
    words = list(dict.fromkeys(entry.word for entry in read_lexicon(place / info.decoder.lexicon, known)))
    lines = [(word, *said) for word in words for said in spellings(word, tokens, separator)]
    if not lines:
        raise OptionError(f"no word of {info.identity} can be written with {' '.join(tokens)}")
    lexicon = folder / LEXICON
    lexicon.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
    files = [lexicon]
    if info.decoder.lm is not None:
        files.append(Path(shutil.copy(place / info.decoder.lm, folder / info.decoder.lm)))
    settings = DecoderSettings(LEXICON, info.decoder.lm, DecoderOptions(), Calibration(), separator=separator)
    return Words(settings, tuple(files), info.licence, len(words) - len(lines))
