"""A real server for tests: uvicorn in a thread of this process, on a free port of 127.0.0.1, and what it recorded.

The fixtures are in ``conftest.py``: ``server`` is one for the whole session, ``start_server`` starts others with
settings of their own. Clients are the real ones, over real sockets.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from fastapi import FastAPI

from monitoring.record import Event, Record
from serving.app import create_app
from serving.listening import server
from serving.settings import Settings

MODEL = "en-small"
SAMPLES = Path(__file__).parent.parent / "data" / "samples"
PATIENCE_S = 60.0  # for what always comes, on a machine that may be very busy
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``observed`` grows as requests end: one `Record` each, and the `Event`s."""

    app: FastAPI
    port: int
    observed: list[Record | Event] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        """The same for WebSockets."""
        return f"ws://127.0.0.1:{self.port}"

    def openai(self, api_key: str = "none") -> Any:
        """OpenAI's own client, told of this server."""
        import openai  # of the extra ``test``; not every test of the server needs it

        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key=api_key, max_retries=0)

    def records(self, request_id: str | None = None) -> list[Record]:
        """All records so far, or those of one request (the ``X-Request-Id`` of its answer)."""
        return [
            seen
            for seen in tuple(self.observed)
            if isinstance(seen, Record) and request_id in (None, seen.request_id)
        ]

    def record(self, request_id: str) -> Record:
        """The one record of a request; waited for, since a client may have its answer before the record is made."""
        wait_for(lambda: bool(self.records(request_id)), f"a record of request {request_id}")
        found = self.records(request_id)
        assert len(found) == 1, f"{len(found)} records of request {request_id}: {found}"
        return found[0]


def clip(name: str = "play_jazz.wav") -> tuple[str, bytes]:
    """A sample, as clients take files: its name and its bytes."""
    return name, (SAMPLES / name).read_bytes()


def two_utterances() -> tuple[str, bytes]:
    """Two samples with 1.5 s of silence between them: 7.048 s."""
    first, second = (soundfile.read(SAMPLES / name)[0] for name in ("play_jazz.wav", "phone_number.flac"))
    file = io.BytesIO()
    soundfile.write(file, np.concatenate([first, np.zeros(24_000), second]), 16_000, format="WAV")
    return "two.wav", file.getvalue()


def wait_for(happened: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until ``happened()``; fail, naming ``what``, where it does not."""
    ends = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < ends, f"waited {patience_s:g} s in vain for {what}"
        time.sleep(POLL_S)


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    """Serve with these `Settings` over the defaults of tests (one worker, a patient queue) until the block ends."""
    chosen = Settings(**{"workers": 1, "latency_budget_ms": 60_000, "port": 0, **settings})
    observed: list[Record | Event] = []
    app = create_app(chosen, [observed.append])
    serving = server(app, chosen, lifespan="on")
    listener = serving.config.bind_socket()
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, name="uvicorn")
    thread.start()
    try:
        wait_for(lambda: serving.started or not thread.is_alive(), "the server to start")
        assert serving.started, "the server ended while it started: its log says why"
        yield Running(app, listener.getsockname()[1], observed)
    finally:
        serving.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
