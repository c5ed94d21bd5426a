"""The records of one streaming connection: one for each final, and one for how it ended where that was not a final."""

from __future__ import annotations

import time
from collections.abc import Callable

from asr.stream import Partial, SpeechStarted
from serving.queries import Queries
from serving.recording import Ledger
from serving.stream_messages import Answer, Told


class Utterances:
    """Keeps the ledger of the utterance that is open, or will be next. For the event loop."""

    def __init__(self, ledger: Callable[[], Ledger], queries: Queries) -> None:
        self._new = ledger
        self._queries = queries
        self._ledger = ledger()
        self._began: float | None = None  # when somebody was heard to speak
        self._recorded = False

    @property
    def session(self) -> str | None:
        """The client's name of the sitting, if it gave one."""
        return self._ledger.session

    def received(self, n_bytes: int) -> None:
        """So much came in for this utterance."""
        self._ledger.bytes_received += n_bytes

    def note(self, told: Told) -> str | None:
        """The client is about to be told this. Returns the query id of an answer."""
        if isinstance(told, SpeechStarted):
            received = self._ledger.bytes_received
            self._ledger, self._began = self._new(), time.perf_counter()
            self._ledger.bytes_received = received
        elif isinstance(told, Partial):
            if told.text and self._began is not None and self._ledger.first_partial_s is None:
                self._ledger.first_partial_s = time.perf_counter() - self._began
        elif isinstance(told, Answer):
            return self._answered(told)
        return None

    def forget(self) -> None:
        """The client starts over: what was open is nobody's any more."""
        self._ledger, self._began = self._new(), None

    def ended(self, error: BaseException | None) -> None:
        """The connection is over. An utterance that got no final ends with the error, and so does a connection
        that got none at all; behind the last final, an end is just an end."""
        if error is not None and (self._began is not None or not self._recorded):
            self._ledger.__exit__(type(error), error, error.__traceback__)

    def _answered(self, answer: Answer) -> str:
        with self._ledger as ledger:
            ledger.transcribed(answer.transcript)
            query = self._queries.open(ledger.key_id, ledger.model, ledger.session)
            ledger.query_id = query.id
            ledger.final_after_speech_s = answer.took_s
            ledger.repeats = answer.repeats
            if answer.search_s is not None:
                ledger.took({"search": answer.search_s})
            ledger.found(answer.results or ())
        self._ledger, self._began, self._recorded = self._new(), None, True
        return query.id
