"""The whole pipeline: a clip in, a `Transcript` out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr import catalog as catalogs
from asr.assemble import Assembler
from asr.bundle import DEFAULT_MODEL, Bundle, LogProbs
from asr.decode import BeamDecoder, DecoderOptions, Hypothesis
from asr.errors import MissingPackageError, OptionError
from asr.frontend import Frontend, FrontendOptions, Segment
from asr.g2p import GraphemeToPhone
from asr.hotwords import Hotwords
from asr.lexicon import Pronunciation, read_lexicon
from asr.lexicon_path import LexiconBestPath
from asr.mixture import with_catalog
from asr.rows import mean_entropy
from asr.stages import Stages
from asr.transcript import SAMPLE_RATE_HZ, Transcript

CACHED_LISTS = 4  # decoders kept for the last lists of hotwords; each has its own trie and language model


class Decoder(Protocol):
    """What turns log-probabilities into words."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Readings of float32 ``(frames, tokens)``, best first; empty where nothing was said."""


@runtime_checkable
class LanguageModelled(Protocol):
    """A decoder with a language model."""

    def log_probability(self, words: Sequence[str]) -> float:
        """Natural logarithm of its probability of a sentence, the end included."""


Pronounce = Callable[[str], Sequence[tuple[str, ...]]]  # word -> pronunciations, as names of tokens
Clip = str | Path | bytes | NDArray[Any]


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


class Transcriber:
    """A bundle with its front end and decoder. Keeps nothing of a clip: threads may share one."""

    def __init__(
        self,
        bundle: Bundle,
        frontend: Frontend,
        decoder: Decoder,
        biased: Callable[[Hotwords], Decoder] | None = None,
    ) -> None:
        """``biased`` makes the decoder for a call's hotwords; without it, they are refused."""
        self.bundle = bundle
        self.frontend = frontend
        calibration = bundle.info.decoder.calibration
        # The fallback lists no second reading, so its words cannot be judged by their share among several.
        self.assemble = Assembler(
            bundle.info, calibration.alone() if isinstance(decoder, LexiconBestPath) else calibration
        )
        self._decoder = _Serial(decoder)
        self._biased = lru_cache(CACHED_LISTS)(lambda hotwords: _Serial((biased or _refuse)(hotwords)))

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        precision: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        frontend: FrontendOptions | None = None,
        decoder: DecoderOptions | None = None,
        catalog: Path | None = None,
    ) -> Transcriber:
        """Load a bundle by path or name, with its own settings unless others are given.

        ``catalog`` is a folder of ``voicesearch catalog build``: what it holds is preferred. Raises what
        `Bundle.load` and `asr.catalog.read` raise.
        """
        bundle = Bundle.load(model, precision=precision, device=device, threads=threads)
        return cls.of(bundle, frontend=frontend, decoder=decoder, catalog=catalog)

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        *,
        frontend: FrontendOptions | None = None,
        decoder: DecoderOptions | None = None,
        catalog: Path | None = None,
    ) -> Transcriber:
        """For a bundle that is loaded already: several may share one. See `load`."""

        def biased(hotwords: Hotwords) -> Decoder:
            return load_decoder(bundle, decoder, hotwords, catalog=catalog)

        plain = load_decoder(bundle, decoder, catalog=catalog)
        return cls(bundle, Frontend(frontend or bundle.info.frontend), plain, biased)

    def transcribe(
        self,
        clip: Clip,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        hotwords: Hotwords | None = None,
        stages: Stages | None = None,
    ) -> Transcript:
        """Transcribe a path, the bytes of an audio file, or an array at ``sample_rate_hz``.

        Arrays are float in [-1, 1] or integer, ``(n,)`` or ``(n, channels)``. The first call with a list of
        hotwords takes about half a second longer; the last few lists are kept. Raises AudioError for what
        cannot be read, OSError for what cannot be opened, and OptionError for a hotword that nobody can say.
        ``stages``, where given, learns how long each stage took.
        """
        stages = stages or Stages()
        with stages("decode"):
            samples = (
                audio.from_samples(clip, sample_rate_hz)
                if isinstance(clip, np.ndarray)
                else audio.decode(clip)
            )
        with stages("vad"):
            prepared = self.frontend.prepare(samples)
        readings = [(segment, self.recognise(segment, hotwords, stages)) for segment in prepared.segments]
        return self.assemble(readings, prepared.clip, prepared.null_reason)

    def recognise(
        self, segment: Segment, hotwords: Hotwords | None = None, stages: Stages | None = None
    ) -> list[Hypothesis]:
        """Readings of one segment, best first; empty where nothing was said.

        One segment a call: int8 activations are scaled over the batch, so company would change a result.
        """
        stages = stages or Stages()
        with stages("model"):
            log_probs = self.bundle.log_probs([segment.samples])[0]
        with stages("beam"):
            return self.search(log_probs, hotwords)

    def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis] | None:
        """What an open utterance sounds like so far. None where there is no time for it: here there always is."""
        return self.recognise(segment, hotwords)

    def listening(self, options: FrontendOptions) -> Transcriber:
        """This transcriber with another front end; network and decoders are shared."""
        other = copy.copy(self)
        other.frontend = Frontend(options)
        return other

    def search(self, log_probs: LogProbs, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of one segment's log-probabilities (float32, ``(frames, tokens)``), best first."""
        decoder = self._decoder if hotwords is None else self._biased(hotwords)
        return decoder.decode(log_probs)


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
    pronunciation unless another is given; without either they raise OptionError. Where flashlight-text has no
    wheel (Python 3.13 at present), the best path through the lexicon alone, with a RuntimeWarning: it gives
    words, but without a language model more of them are wrong. It favours no hotwords and no catalogue:
    MissingPackageError.
    """
    settings = bundle.info.decoder
    lexicon = read_lexicon(bundle.folder / settings.lexicon, bundle.tokens)
    if hotwords is not None:
        known = {entry.word for entry in lexicon}
        unknown = [word for word in hotwords.words if word not in known]
        lexicon += _pronounced(unknown, bundle, pronounce) if unknown else []
    lm = None if settings.lm is None else bundle.folder / settings.lm
    try:
        beam = BeamDecoder(lexicon, len(bundle.tokens), lm, options or settings.options, hotwords)
        if catalog is None:
            return beam
        return with_catalog(beam, options or settings.options, catalogs.read(catalog), bundle.tokens)
    except MissingPackageError as error:
        if hotwords is not None or catalog is not None:
            raise
        warnings.warn(f"decoding without a language model: {error}", RuntimeWarning, stacklevel=2)
        return LexiconBestPath(lexicon, len(bundle.tokens), options or settings.options)


def _pronounced(words: Sequence[str], bundle: Bundle, pronounce: Pronounce | None) -> list[Pronunciation]:
    model = bundle.info.decoder.g2p
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
