"""The protocol of `/v1/stream` without a socket: messages in, what to tell the client out, as soon as it is decided.

A session knows no clock but that of the endpoint, no key and no record. Its methods block while a worker thinks;
they are for a thread. What they give is an iterator, to be taken to its end before the next message is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from asr.decode import Hypothesis
from asr.frontend import Segment
from asr.hotwords import Hotwords
from asr.stream import Event, Final, Partial, Recogniser, SpeechStarted, SpeechStopped, Stream
from asr.transcript import SAMPLE_RATE_HZ, Transcript
from serving.errors import InvalidParameterError
from serving.jobs import Hearing
from serving.pcm import PcmReader, Samples
from serving.stream_messages import Answer, Command, StreamConfig, Told, parse

PIECE = SAMPLE_RATE_HZ // 10  # of a long message: how often it is asked whether a draft is worth its while
LATE_S = 0.4  # of audio that has come behind what is heard now: a partial of this moment would be an old one
REST = 4.0  # drafts take a fifth of a stream's time at most: 30 ms each, as on an idle machine, are not felt


class _Impatient:
    """A recogniser that makes drafts only while nobody waits for something newer, and few of them where they take long:
    while a stream waits for a draft, it does not hear that somebody has stopped speaking."""

    def __init__(
        self, recogniser: Recogniser, wanted: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self._recogniser = recogniser
        self._wanted = wanted
        self._clock = clock
        self._rested = 0.0  # when the next draft may begin
        self.heard: Segment | None = None  # the last utterance
        self.frontend = recogniser.frontend
        self.assemble = recogniser.assemble

    def recognise(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        self.heard = segment
        return self._recogniser.recognise(segment, hotwords)

    def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis] | None:
        began = self._clock()
        if began < self._rested or not self._wanted():
            return None
        readings = self._recogniser.draft(segment, hotwords)
        ended = self._clock()
        self._rested = ended + REST * (ended - began)
        return readings


Find = Callable[[Transcript], Sequence[Mapping[str, Any]]]  # blocks; "id", "title", "score" at least


class Session:
    """One client: its config, then its audio."""

    def __init__(
        self,
        recogniser: Callable[[Hearing], Recogniser],
        find: Find | None = None,
        waiting_s: Callable[[], float] = lambda: 0.0,
        unlike: Callable[[Samples], float | None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``find`` searches the catalogue, if there is one; ``waiting_s`` is the audio that has come and waits.

        ``unlike`` compares an utterance with the one before it, for its record.
        """
        self._recogniser = recogniser
        self._find = find
        self._waiting_s = waiting_s
        self._unlike = unlike
        self._clock = clock
        self._rest_s = 0.0  # audio of the present message behind what is being heard
        self._config: StreamConfig | None = None
        self._decided = 0.0  # when the end of speech was
        self._partial = ""  # what the client was told last
        self.over = False  # nothing more will be heard: close

    @property
    def config(self) -> StreamConfig | None:
        """What the client wants; None until it has said so."""
        return self._config

    def take(self, sent: str | bytes) -> Iterator[Told]:
        """What a message brings about.

        Raises InvalidParameterError, OptionError (a hotword that nobody can say), OverloadedError, WorkerError:
        all of them end the session.
        """
        assert not self.over, "a message after the end"
        if isinstance(sent, bytes):
            yield from self._audio(sent)
            return
        said = parse(sent)
        if isinstance(said, StreamConfig):
            self._open(said)
        elif self._config is None:
            raise _config_first()
        elif said is Command.RESET:
            self._start()
        else:
            yield from self.finish()

    def finish(self) -> Iterator[Told]:
        """No more audio comes: what is open gets its final. Before a config, nothing."""
        if self._config is None or self.over:
            return
        yield from self._told(self._stream.hear(self._pcm.finish()))
        if not self.over:
            yield from self._told(self._stream.end())
        self.over = True

    def _open(self, config: StreamConfig) -> None:
        if self._config is not None:
            raise InvalidParameterError('"config" was sent already: it comes once', param="config")
        if config.catalog and self._find is None:
            raise InvalidParameterError(
                'catalog: this server has none to search; leave it out, or have it started with "catalogs"',
                param="catalog",
                code="catalog_not_available",
            )
        self._ears = _Impatient(self._recogniser(config.hearing), self._drafts_wanted, self._clock)
        self._stream = Stream(self._ears, config.rules)
        self._config = config
        self._pcm = PcmReader(config.form)

    def _start(self) -> None:
        assert self._config is not None
        self._stream.reset()
        self._pcm = PcmReader(self._config.form)

    def _audio(self, sent: bytes) -> Iterator[Told]:
        if self._config is None:
            raise _config_first()
        samples = self._pcm.feed(sent)
        for piece, rest in _pieces(samples):
            self._rest_s = rest / SAMPLE_RATE_HZ
            yield from self._told(self._stream.hear(piece))
            if self.over:
                return

    def _told(self, events: Iterable[Event]) -> Iterator[Told]:
        assert self._config is not None
        self._decided = self._clock()
        for event in events:
            if isinstance(event, Final):
                yield self._answer(event.transcript)
                if self._config.single:
                    self.over = True
                    return
                continue
            if isinstance(event, Partial):
                if event.text == self._partial:
                    continue  # nothing new
                self._partial = event.text
            elif isinstance(event, SpeechStarted):
                self._partial = ""
            elif isinstance(event, SpeechStopped):
                self._decided = self._clock()
            yield event

    def _answer(self, transcript: Transcript) -> Answer:
        assert self._config is not None
        segment, self._ears.heard = self._ears.heard, None
        repeats = None if segment is None else self._unlike(segment.samples)
        heard = self._clock()
        if not self._config.catalog:
            return Answer(transcript, heard - self._decided, repeats=repeats)
        assert self._find is not None
        results = tuple(self._find(transcript)) if transcript.text else ()
        now = self._clock()
        return Answer(transcript, now - self._decided, now - heard, results, repeats)

    def _drafts_wanted(self) -> bool:
        assert self._config is not None
        return self._config.partials and self._rest_s + self._waiting_s() < LATE_S


def _pieces(samples: Samples) -> Iterator[tuple[Samples, int]]:
    """Short ones, in order, each with the number of samples behind it."""
    for start in range(0, len(samples), PIECE):
        piece = samples[start : start + PIECE]
        yield piece, len(samples) - start - len(piece)


def _config_first() -> InvalidParameterError:
    return InvalidParameterError(
        'The first message must be the config, such as {"config": {"sample_rate": 16000}}.',
        param="config",
        code="missing_required_parameter",
    )
