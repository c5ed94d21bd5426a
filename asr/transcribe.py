"""The whole pipeline: a clip in, a `Transcript` out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr import audio, onnx_asr_files
from asr.assemble import Assembler
from asr.bundle import DEFAULT_MODEL, Bundle, BundleInfo, LogProbs
from asr.decode import DecoderOptions, Hypothesis
from asr.frontend import Frontend, FrontendOptions, Segment
from asr.hotwords import Hotwords
from asr.onnx_asr_reader import OnnxAsrReader
from asr.reader import BundleReader, Decoder, Reader, load_decoder
from asr.stages import Stages
from asr.transcript import SAMPLE_RATE_HZ, Transcript

Clip = str | Path | bytes | NDArray[Any]


class Transcriber:
    """A model with its front end. Keeps nothing of a clip: threads may share one."""

    def __init__(self, reader: Reader, frontend: Frontend) -> None:
        self.reader = reader
        self.frontend = frontend
        self.assemble = Assembler(reader.info, reader.calibration)

    @property
    def info(self) -> BundleInfo:
        """What the model says of itself."""
        return self.reader.info

    @property
    def bundle(self) -> Bundle:
        """The bundle, where the model is one."""
        assert isinstance(self.reader, BundleReader), f"{self.info.identity} is no bundle"
        return self.reader.bundle

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
        """Load a bundle by path or name, with its own settings unless others are given; or ``onnx-asr:NAME``.

        ``catalog`` is a folder of ``voicesearch catalog build``: what it holds is preferred. Raises what
        `Bundle.load`, `asr.catalog.read` and, for ``onnx-asr:``, `OnnxAsrReader.load` raise.
        """
        if onnx_asr_files.is_named(model):
            onnx_asr_files.refuse(model, decoder, catalog)
            reader = OnnxAsrReader.load(model, precision=precision, device=device, threads=threads)
            return cls(reader, Frontend(frontend or reader.info.frontend))
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
        return cls(BundleReader(bundle, plain, biased), Frontend(frontend or bundle.info.frontend))

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
        return self.reader.read(segment.samples, hotwords, stages)

    def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis] | None:
        """What an open utterance sounds like so far. None where there is no time for it: with slow models."""
        return self.recognise(segment, hotwords) if self.reader.drafts else None

    def listening(self, options: FrontendOptions) -> Transcriber:
        """This transcriber with another front end; network and decoders are shared."""
        other = copy.copy(self)
        other.frontend = Frontend(options)
        return other

    def search(self, log_probs: LogProbs, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of one segment's log-probabilities (float32, ``(frames, tokens)``), best first."""
        assert isinstance(self.reader, BundleReader), f"{self.info.identity} has no log-probabilities"
        return self.reader.search(log_probs, hotwords)
