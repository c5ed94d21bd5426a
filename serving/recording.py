"""Each request ends as exactly one `Record`, whatever way it ends. The routes fill a `Ledger`; leaving it records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any

from asr.transcript import Transcript
from monitoring.record import Observer, Outcome, Record, Transport
from serving.engine import Answer
from serving.problems import status_of

EXPECTED = ("session", "device")


@dataclass(slots=True)
class Ledger:
    """What is known so far of one request. A context manager: its end, good or bad, hands one Record to observers."""

    observers: Sequence[Observer]
    transport: Transport
    request_id: str
    model: str
    key_id: str | None = None
    session: str | None = None
    query_id: str | None = None
    bytes_received: int = 0
    status: int = 200
    text: str = ""
    results: tuple[str, ...] = ()
    first_partial_s: float | None = None
    final_after_speech_s: float | None = None
    fields_missing: tuple[str, ...] = ()
    top_score: float | None = None
    repeats: float | None = None
    device: str | None = None
    locale: str | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    transcript: Transcript | None = None
    _at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.perf_counter)

    def heard(self, answer: Answer) -> Transcript:
        """The engine has answered; the transcript, for the route to go on with."""
        self.took(answer.stages_s)
        return self.transcribed(answer.transcript)

    def transcribed(self, transcript: Transcript) -> Transcript:
        """This is what was said."""
        self.transcript, self.text = transcript, transcript.text
        return transcript

    def found(self, results: Sequence[Mapping[str, Any]]) -> None:
        """These items are shown, best first."""
        self.results = tuple(str(result["id"]) for result in results)
        self.top_score = results[0]["score"] if results else None

    def took(self, stages_s: Mapping[str, float]) -> None:
        """Some stages took so many seconds."""
        for stage, seconds in stages_s.items():
            self.stages_s[stage] = self.stages_s.get(stage, 0.0) + seconds

    def missing(self, *also: str) -> None:
        """Note which of the fields that every client should send did not come, and ``also`` these."""
        self.fields_missing = (*(name for name in EXPECTED if getattr(self, name) is None), *also)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record = self._record(error)
        for observe in self.observers:
            observe(record)

    def _record(self, error: BaseException | None) -> Record:
        transcript = self.transcript
        if error is not None:
            outcome = Outcome.ERROR
        else:
            outcome = Outcome.OK if transcript is None else Outcome.of(transcript.null_reason)
        return Record(
            request_id=self.request_id,
            at=self._at,
            transport=self.transport,
            outcome=outcome,
            status=self.status if error is None else status_of(error),
            model=self.model,
            duration_s=time.perf_counter() - self._started,
            query_id=self.query_id,
            session=self.session,
            key_id=self.key_id,
            null_reason=None if transcript is None else transcript.null_reason,
            error=None if error is None else type(error).__name__,
            bytes_received=self.bytes_received,
            clip=None if transcript is None else transcript.clip,
            confidence=None if transcript is None else transcript.confidence,
            n_words=len(self.text.split()),
            text=self.text,
            results=self.results,
            stages_s=MappingProxyType(dict(self.stages_s)),
            first_partial_s=self.first_partial_s,
            final_after_speech_s=self.final_after_speech_s,
            fields_missing=self.fields_missing,
            perplexity=None if transcript is None else transcript.perplexity,
            entropy=None if transcript is None else transcript.entropy,
            top_score=self.top_score,
            repeats=self.repeats,
            device=self.device,
            locale=self.locale,
        )
