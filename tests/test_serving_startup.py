"""What a server has started is stopped with it, also where the start fails half-way."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from serving_app import running

from asr.errors import CatalogError
from asr.transcript import Reading
from monitoring.metrics import Metrics
from serving import startup
from serving.engine import Engine
from serving.settings import Settings


@pytest.mark.parametrize("loaded", [False, True])
def test_a_start_that_fails_leaves_no_process(loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index cannot be made, while the workers load or after they have: its error, itself, and no worker."""
    before = set(multiprocessing.active_children())
    started, start = threading.Event(), Engine.start

    async def watched(*arguments: Any) -> Engine:
        engine = await start(*arguments)
        started.set()
        return engine

    def fail(*_: object) -> None:
        if loaded:
            assert started.wait(60)
        raise CatalogError("no such catalogue")

    monkeypatch.setattr(Engine, "start", watched)
    monkeypatch.setattr(startup, "_index", fail)

    async def begin() -> None:
        async with AsyncExitStack() as stack:
            await startup.start(Settings(workers=1, port=0), Metrics(CollectorRegistry()), [], stack)

    with pytest.raises(CatalogError, match="no such catalogue"):
        asyncio.run(begin())
    assert set(multiprocessing.active_children()) <= before


def test_the_index_is_closed_with_the_server() -> None:
    """It holds a database: memory, or a file."""
    with running() as server:
        index = server.app.state.services.index
        assert index.search([Reading("emma", 1.0)])
    with pytest.raises(sqlite3.ProgrammingError):
        index.search([Reading("emma", 1.0)])
