"""The whole pipeline: a clip in, a `Transcript` out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr import catalog as catalogs
from asr.bundle import DEFAULT_MODEL, Bundle, LogProbs
from asr.decode import BeamDecoder, DecoderOptions, Hypothesis, HypothesisWord
from asr.errors import MissingPackageError, OptionError
from asr.frontend import Frontend, FrontendOptions, Segment
from asr.g2p import GraphemeToPhone
from asr.hotwords import Hotwords
from asr.lexicon import Pronunciation, read_lexicon
from asr.lexicon_path import LexiconBestPath
from asr.mixture import with_catalog
from asr.transcript import SAMPLE_RATE_HZ, ClipStats, NullReason, Span, Transcript, Word

CACHED_LISTS = 4  # decoders kept for the last lists of hotwords; each has its own trie and language model


class Decoder(Protocol):
    """What turns log-probabilities into words."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Readings of float32 ``(frames, tokens)``, best first; empty where nothing was said."""


Pronounce = Callable[[str], Sequence[tuple[str, ...]]]  # word -> pronunciations, as names of tokens
Clip = str | Path | bytes | NDArray[Any]


class _Serial:
    """A decoder that threads may share: the beam search keeps its beams in the decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._decoding = Lock()

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        with self._decoding:
            return self._decoder.decode(log_probs)


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
        self._calibration = calibration.alone() if isinstance(decoder, LexiconBestPath) else calibration
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

        def biased(hotwords: Hotwords) -> Decoder:
            return load_decoder(bundle, decoder, hotwords, catalog=catalog)

        plain = load_decoder(bundle, decoder, catalog=catalog)
        return cls(bundle, Frontend(frontend or bundle.info.frontend), plain, biased)

    def transcribe(
        self, clip: Clip, sample_rate_hz: int = SAMPLE_RATE_HZ, hotwords: Hotwords | None = None
    ) -> Transcript:
        """Transcribe a path, the bytes of an audio file, or an array at ``sample_rate_hz``.

        Arrays are float in [-1, 1] or integer, ``(n,)`` or ``(n, channels)``. The first call with a list of
        hotwords takes about half a second longer; the last few lists are kept. Raises AudioError for what
        cannot be read, OSError for what cannot be opened, and OptionError for a hotword that nobody can say.
        """
        samples = (
            audio.from_samples(clip, sample_rate_hz) if isinstance(clip, np.ndarray) else audio.decode(clip)
        )
        prepared = self.frontend.prepare(samples)
        readings = [(segment, self.recognise(segment, hotwords)) for segment in prepared.segments]
        return self.assemble(readings, prepared.clip, prepared.null_reason)

    def recognise(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of one segment, best first; empty where nothing was said.

        One segment a call: int8 activations are scaled over the batch, so company would change a result.
        """
        log_probs = self.bundle.log_probs([segment.samples])[0]
        decoder = self._decoder if hotwords is None else self._biased(hotwords)
        return decoder.decode(log_probs)

    def assemble(
        self,
        readings: Sequence[tuple[Segment, list[Hypothesis]]],
        clip: ClipStats,
        reason: NullReason | None,
    ) -> Transcript:
        """One transcript from the readings of a clip's segments, with word times in the clip.

        A segment heard with too little confidence is left out, as it would be in a stream; the clip is null
        where nothing else was heard.
        """
        heard = [self._words(best, segment) for segment, best in readings if best]
        minimum = self._calibration.minimum
        words = tuple(word for segment in heard if mean_confidence(segment) >= minimum for word in segment)
        confidence = self._calibration.text(
            [word.confidence for word in words or [word for segment in heard for word in segment]]
        )
        if reason is None and not words:
            # Where the model found no words at all, the detector had taken some other sound for speech.
            reason = NullReason.LOW_CONFIDENCE if heard else NullReason.NO_SPEECH
        identity, language = self.bundle.info.identity, self.bundle.info.language
        if reason is not None:
            return Transcript("", (), confidence, reason, clip, identity, language)
        text = " ".join(word.text for word in words)
        return Transcript(text, words, confidence, None, clip, identity, language, _alternatives(readings))

    def _words(self, readings: Sequence[Hypothesis], segment: Segment) -> list[Word]:
        sure = self._calibration.words(readings)
        return [self._word(*pair, segment) for pair in zip(readings[0].words, sure, strict=True)]

    def _word(self, word: HypothesisWord, confidence: float, segment: Segment) -> Word:
        frame, span = self.bundle.info.frame_samples, segment.span
        start = min(max(segment.first + word.start_frame * frame, span.start), span.end)
        end = min(max(segment.first + word.end_frame * frame, span.start), span.end)
        return Word(word.text, Span(start, end), confidence)


def _refuse(hotwords: Hotwords) -> Decoder:
    raise OptionError(f"hotwords {', '.join(hotwords.phrases)!r}: this transcriber's decoder takes none")


def mean_confidence(words: Sequence[Word]) -> float:
    """Of a segment: the mean of its words', which the bundle's minimum is held against; 0 without words."""
    return sum(word.confidence for word in words) / len(words) if words else 0.0


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


def _alternatives(readings: Sequence[tuple[Segment, list[Hypothesis]]]) -> tuple[str, ...]:
    """Other readings of the clip: those of its only segment. Of several segments there would be a product."""
    spoken = [hypotheses for _, hypotheses in readings if hypotheses]
    return tuple(hypothesis.text for hypothesis in spoken[0][1:]) if len(spoken) == 1 else ()
