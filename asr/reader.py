"""A model as a transcriber asks it: the samples of a segment in, readings out.

How they come about is the model's matter. A `BundleReader` has the network of a bundle and a
search through its words. `asr.onnx_asr_reader` is the other kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asr import catalog as catalogs
from asr.bundle import Bundle, BundleInfo, LogProbs
from asr.confidence import Calibration
from asr.decode import BeamDecoder, DecoderOptions, Hypothesis
from asr.errors import BundleError, MissingPackageError, OptionError
from asr.g2p import GraphemeToPhone
from asr.hotwords import Hotwords
from asr.letters import Separated, SpelledPath, column, spellings
from asr.lexicon import Pronunciation, read_lexicon
from asr.lexicon_path import LexiconBestPath
from asr.mixture import with_catalog
from asr.rows import mean_entropy
from asr.stages import Stages

CACHED_LISTS = 4  # decoders kept for the last lists of hotwords; each has its own trie and language model

Samples = NDArray[np.float32]
Pronounce = Callable[[str], Sequence[tuple[str, ...]]]  # word -> pronunciations, as names of tokens


class Reader(Protocol):
    """A loaded model. Threads may share one."""

    @property
    def info(self) -> BundleInfo:
        """What it says of itself."""

    @property
    def calibration(self) -> Calibration:
        """Makes confidences of its posteriors."""

    @property
    def drafts(self) -> bool:
        """Whether it is quick enough to read an utterance that is not over yet."""

    @property
    def groups(self) -> bool:
        """Whether several segments may share a call of its network without changing each other's result."""

    def read(
        self, samples: Samples, hotwords: Hotwords | None = None, stages: Stages | None = None
    ) -> list[Hypothesis]:
        """Readings of a levelled segment (float32, ``(n,)``), best first; empty where nothing was said.

        Raises OptionError for hotwords that it cannot listen for. ``stages`` learns how long each stage took.
        """

    def check(self, hotwords: Hotwords) -> None:
        """Raise the OptionError that `read` would."""


class Decoder(Protocol):
    """What turns log-probabilities into words."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Readings of float32 ``(frames, tokens)``, best first; empty where nothing was said."""


@runtime_checkable
class LanguageModelled(Protocol):
    """A decoder with a language model."""

    def log_probability(self, words: Sequence[str]) -> float:
        """Natural logarithm of its probability of a sentence, the end included."""


class BundleReader:
    """The network of a bundle, and the search through its words."""

    drafts = True

    def __init__(
        self,
        bundle: Bundle,
        decoder: Decoder,
        biased: Callable[[Hotwords], Decoder] | None = None,
    ) -> None:
        """``biased`` makes the decoder for a call's hotwords; without it, they are refused."""
        self.bundle = bundle
        self.info = bundle.info
        calibration = bundle.info.decoder.calibration
        # These list no second reading, so their words cannot be judged by their share among several.
        single = isinstance(decoder, LexiconBestPath | SpelledPath)
        self.calibration = calibration.alone() if single else calibration
        self._decoder = _Serial(decoder)
        self._biased = lru_cache(CACHED_LISTS)(lambda hotwords: _Serial((biased or _refuse)(hotwords)))

    @property
    def groups(self) -> bool:
        """int8 activations are scaled over the batch, so company would change a result."""
        return self.bundle.precision != "int8"

    def read(
        self, samples: Samples, hotwords: Hotwords | None = None, stages: Stages | None = None
    ) -> list[Hypothesis]:
        """Network, then search. See `Reader.read`."""
        stages = stages or Stages()
        with stages("model"):
            log_probs = self.bundle.log_probs([samples])[0]
        with stages("beam"):
            return self.search(log_probs, hotwords)

    def search(self, log_probs: LogProbs, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of one segment's log-probabilities (float32, ``(frames, tokens)``), best first."""
        decoder = self._decoder if hotwords is None else self._biased(hotwords)
        return decoder.decode(log_probs)

    def check(self, hotwords: Hotwords) -> None:
        """Make their decoder, which is kept."""
        self._biased(hotwords)


class _Serial:
    """A decoder that threads may share: the beam search keeps its beams in the decoder.

    The best reading comes with how undecided the network was and how likely the language model finds it.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._decoding = Lock()

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        with self._decoding:
            readings = self._decoder.decode(log_probs)
            if not readings:
                return []
            likelihood = None
            if isinstance(self._decoder, LanguageModelled):
                likelihood = self._decoder.log_probability([word.text for word in readings[0].words])
        best = replace(readings[0], entropy=mean_entropy(log_probs), lm_log_prob=likelihood)
        return [best, *readings[1:]]


def _refuse(hotwords: Hotwords) -> Decoder:
    raise OptionError(f"hotwords {', '.join(hotwords.phrases)!r}: this transcriber's decoder takes none")


def load_decoder(
    bundle: Bundle,
    options: DecoderOptions | None = None,
    hotwords: Hotwords | None = None,
    pronounce: Pronounce | None = None,
    catalog: Path | None = None,
) -> Decoder:
    """The beam search with the bundle's lexicon and language model, with its own weights unless others are given.

    With the folder of a catalogue its model and the bundle's are mixed (`asr.mixture`).

    Words of ``hotwords`` outside the lexicon are added as ``pronounce`` says them, the bundle's own model of
    pronunciation unless another is given (networks that spell need none); without either they raise OptionError.
    Where flashlight-text has no wheel (Python 3.13 at present), the best path through the lexicon alone, with a
    RuntimeWarning: it gives words, but without a language model more of them are wrong. It favours no hotwords and no
    catalogue: MissingPackageError. A bundle without a lexicon has no search, only its best path: hotwords, a catalogue
    and weights are an OptionError.
    """
    settings, tokens = bundle.info.decoder, bundle.tokens
    if settings.lexicon is None:
        return _without_lexicon(bundle, options, hotwords, catalog)
    lexicon = read_lexicon(bundle.folder / settings.lexicon, tokens)
    if hotwords is not None:
        known = {entry.word for entry in lexicon}
        unknown = [word for word in hotwords.words if word not in known]
        lexicon += _pronounced(unknown, bundle, pronounce) if unknown else []
    lm = None if settings.lm is None else bundle.folder / settings.lm
    separator = None if settings.separator is None else column(tokens, settings.separator)
    try:
        beam = BeamDecoder(lexicon, len(tokens), lm, options or settings.options, hotwords, separator)
        decoder: Decoder = beam
        if catalog is not None:
            decoder = with_catalog(beam, options or settings.options, catalogs.read(catalog), tokens)
    except MissingPackageError as error:
        if hotwords is not None or catalog is not None:
            raise
        warnings.warn(f"decoding without a language model: {error}", RuntimeWarning, stacklevel=2)
        if settings.separator is not None:
            return SpelledPath(tokens, settings.separator)
        return LexiconBestPath(lexicon, len(tokens), options or settings.options)
    return decoder if separator is None else Separated(decoder, separator)


def _without_lexicon(
    bundle: Bundle, options: DecoderOptions | None, hotwords: Hotwords | None, catalog: Path | None
) -> Decoder:
    settings, name = bundle.info.decoder, bundle.info.identity
    if settings.separator is None:
        raise BundleError(f"{name} has neither a lexicon nor letters: nothing could come out but sounds")
    if hotwords is not None or catalog is not None:
        raise OptionError(
            f"{name} has no lexicon, so there is no search that hotwords or a catalogue could guide"
        )
    if options not in (None, settings.options):
        raise OptionError(f"{name} has no lexicon, so there is no search to set up: leave out beam_size")
    return SpelledPath(bundle.tokens, settings.separator)


def _pronounced(words: Sequence[str], bundle: Bundle, pronounce: Pronounce | None) -> list[Pronunciation]:
    model, separator = bundle.info.decoder.g2p, bundle.info.decoder.separator
    if pronounce is None and separator is not None:
        pronounce = partial(spellings, tokens=bundle.tokens, separator=separator)
    if pronounce is None and model is not None:
        pronounce = GraphemeToPhone.load(bundle.folder / model).pronounce
    if pronounce is None:
        raise OptionError(
            f"hotword {words[0]!r} is not in the lexicon, and {bundle.info.identity} has no model to pronounce it"
        )
    column = {token: at for at, token in enumerate(bundle.tokens)}
    added = []
    for word in words:
        said = pronounce(word)
        if not said:
            raise OptionError(f"hotword {word!r} is not in the lexicon, and nobody can say it")
        added += [Pronunciation(word, tuple([column[name] for name in names])) for names in said]
    return added
