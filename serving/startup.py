"""Everything that the routes share, started in order; what was started is stopped in the opposite one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from asr import bundle
from asr.catalog import LEXICON
from asr.pronounce import Pronounce, pronouncer
from monitoring.keeping import Tidier
from monitoring.metrics import Metrics
from monitoring.record import Observer
from monitoring.storage.database import FILE_NAME
from monitoring.store import EventStore
from serving import catalogs, decoder_catalogs, decoding, retention, watching
from serving.engine import Engine
from serving.jobs import WorkerSpec
from serving.queries import Queries
from serving.rates import RateLimit, RateLimiter
from serving.repeats import Repeats, expiring
from serving.sandbox import Sandbox
from serving.search import SearchIndex, require_phones
from serving.services import Services
from serving.settings import Settings
from serving.streams import Streams
from serving.tidying import tidying
from serving.turns import Turns

WAITING_SEARCHES = 64  # of some milliseconds each
CATALOGS = "catalogs"


async def start(
    settings: Settings, metrics: Metrics, observers: Sequence[Observer], stack: AsyncExitStack
) -> Services:
    """The services of one server; ``stack`` stops them. Raises AsrError and MonitoringError for what cannot start."""
    store = await asyncio.to_thread(EventStore.open, _store_url(settings, stack))
    stack.push_async_callback(asyncio.to_thread, store.close)
    # The index is made in this process while the workers load the decoder's side of it in theirs.
    folder = await asyncio.to_thread(_decoder_catalog, settings)
    starting = asyncio.create_task(_engine(settings, folder, metrics, stack))
    try:
        pronounce = await asyncio.to_thread(_pronounce, settings, folder)
        index = await asyncio.to_thread(_index, settings, pronounce)
    except BaseException:
        # Not cancelled: a process that a thread is about to start would be nobody's. It is on the stack afterwards.
        await asyncio.gather(starting, return_exceptions=True)
        raise
    if index is not None:
        stack.callback(index.close)
    engine = await starting
    streams = Streams(settings.max_streams)
    stack.push_async_callback(streams.close, 0.0)  # under `serving.listening` all have finished by now
    sandbox = Sandbox()
    stack.push_async_callback(asyncio.to_thread, sandbox.close)
    watched_by = await _watching(settings, store, metrics, pronounce, stack)
    watch = None if watched_by is None else watched_by.watch
    return Services(
        settings,
        engine,
        _queries(store),
        _rates(settings),
        decoding.decoders(settings.workers, sandbox),
        Turns(settings.workers, WAITING_SEARCHES, "queries wait to be searched for"),
        streams,
        store,
        _repeats(store, stack),
        _audio(settings, stack),
        index,
        (metrics.observe, *([] if watch is None else [watch.observe]), *observers),
        watch,
    )


def _store_url(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.store is not None:
        return settings.store
    folder = settings.state_folder
    if folder is None:  # kept as long as the process
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voicesearch-")))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{folder / FILE_NAME}"


def _decoder_catalog(settings: Settings) -> Path | None:
    if not settings.catalogs:
        return None
    require_phones(settings.model)
    cache = None if settings.state_folder is None else settings.state_folder / CATALOGS
    sources = [catalogs.find(name) for name in settings.catalogs]
    return decoder_catalogs.prepare(sources, settings.model, cache, settings.catalog_weight)


def _pronounce(settings: Settings, catalog: Path | None) -> Pronounce | None:
    if catalog is None:
        return None
    folder = bundle.find(settings.model)
    # The decoder's catalogue has looked every word of the items up: that takes longest of all here.
    return pronouncer(folder, bundle.read(folder), catalog / LEXICON)


def _index(settings: Settings, pronounce: Pronounce | None) -> SearchIndex | None:
    if pronounce is None:
        return None
    return SearchIndex(catalogs.read([catalogs.find(name) for name in settings.catalogs]), pronounce)


async def _watching(
    settings: Settings,
    store: EventStore,
    metrics: Metrics,
    pronounce: Pronounce | None,
    stack: AsyncExitStack,
) -> watching.Watching | None:
    if not settings.watch:
        tidied = asyncio.create_task(tidying(Tidier(store, settings.keeping)))  # else the watch does
        stack.callback(tidied.cancel)
        return None
    started = await asyncio.to_thread(watching.start, settings, store, metrics, pronounce)
    # Before the store is closed, which was put on the stack before.
    stack.push_async_callback(asyncio.to_thread, started.close)
    return started


async def _engine(
    settings: Settings, catalog: Path | None, metrics: Metrics, stack: AsyncExitStack
) -> Engine:
    spec = WorkerSpec(settings.model, settings.device, catalog, settings.log_level, settings.log_format)
    engine = await Engine.start(spec, settings.workers, settings.latency_budget_ms / 1000, metrics)
    stack.push_async_callback(engine.close, settings.drain_s)
    return engine


def _audio(settings: Settings, stack: AsyncExitStack) -> retention.AudioStore | None:
    audio = retention.store(settings.state_folder, settings.audio_days)
    if audio is not None:
        purging = asyncio.create_task(retention.purging(audio))
        stack.callback(purging.cancel)
    return audio


def _queries(store: EventStore) -> Queries:
    queries = Queries()
    store.on_erasure(queries.forget)
    return queries


def _repeats(store: EventStore, stack: AsyncExitStack) -> Repeats:
    repeats = Repeats()
    store.on_erasure(repeats.forget)
    expire = asyncio.create_task(expiring(repeats))
    stack.callback(expire.cancel)
    return repeats


def _rates(settings: Settings) -> RateLimiter:
    a_minute = settings.audio_s_per_minute
    return RateLimiter(RateLimit(capacity_s=max(a_minute, 1.0), refill_per_s=a_minute / 60.0))
