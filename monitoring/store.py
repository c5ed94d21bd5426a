"""The event store: what was asked and answered, and what people did next, kept so that it can be asked about.

``observe`` takes records and events as they happen and costs its caller an append to a queue; one thread writes
them (``writer`` says when, and what happens when it cannot). ``submit`` is for an event whose sender is told when
it is durable. Questions read the database directly and block: in an event loop, ask from a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Engine

from monitoring.aftermath import Aftermath
from monitoring.counts.rollup import Rollup, RollupKey
from monitoring.drift.profile import Profile
from monitoring.errors import SchemaVersionError, StoreUnavailableError
from monitoring.outcomes import Leftover
from monitoring.record import Event, Record
from monitoring.storage import database, followed, journal, profiles, queries, retention
from monitoring.storage import rollups as rollup_store
from monitoring.storage.backlog import Backlog, Owner, Pending
from monitoring.storage.export import export
from monitoring.storage.insert import insert_all
from monitoring.storage.journal import Entry, Kind
from monitoring.storage.leader import Leader
from monitoring.storage.migrations import migrate
from monitoring.storage.queries import Window
from monitoring.storage.retention import Also, Deleted, Sessions, nothing_else
from monitoring.storage.rows import plain
from monitoring.storage.writer import Limits, Writer

T = TypeVar("T")


class EventStore:
    """An open store. Made by ``open``; safe to use from many threads; ``close`` it, or use it in a ``with``."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._ready = False
        self._forget: list[Callable[..., object]] = []
        self._backlog = Backlog(limits.backlog)
        self._writer = Writer(self._backlog, self._write, limits)

    @classmethod
    def open(cls, url: str, limits: Limits | None = None) -> EventStore:
        """The store at a database URL, its tables made or brought up to date.

        A database that cannot be written now is no error: a service must answer whatever becomes of its
        monitoring. ``trouble`` says so, and the writer keeps trying. Raises ``StoreUrlError``,
        ``SchemaVersionError`` and ``MissingPackageError``, which only a person can mend.
        """
        store = cls(database.create_engine(database.parse_url(url)), limits or Limits())
        try:
            store._prepare()
        except SchemaVersionError:
            store._engine.dispose()
            raise
        except Exception as error:
            if not database.is_outage(error):
                raise
            store._writer.trouble = database.unavailable(error)
        store._writer.start()
        return store

    def observe(self, item: Record | Event) -> None:
        """Keep a record or event: an ``Observer``. Never raises, never waits; ``lost`` counts what finds no room."""
        self._backlog.put(Pending(item))

    def submit(self, event: Event) -> Future[bool]:
        """Keep an event, and say when it is durable; True: it is new, False: it was there already.

        In an event loop: ``await asyncio.wrap_future(store.submit(event))``. The future fails with
        ``StoreUnavailableError`` (the event is not kept, or nobody knows: its sender may send it again) or
        ``UnstorableError``; while the database is down, within ``patience_s`` and a try or two. It cannot be cancelled.
        """
        return self._wait_for(event)

    def flush(self) -> None:
        """Return when all that was accepted before is durable. Raises ``StoreUnavailableError``."""
        self._wait_for(lambda: None).result()

    def close(self) -> None:
        """Finish what was accepted, or count it as lost after ``close_s``; then take nothing more."""
        self._writer.close()
        self._engine.dispose()

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """How many observed records and events are not in the store and never will be. Exact."""
        return self._backlog.lost

    @property
    def waiting(self) -> int:
        """How many are not durable yet."""
        return len(self._backlog)

    @property
    def lag_s(self) -> float:
        """For how many seconds the oldest of them has waited."""
        return self._backlog.lag_s

    @property
    def trouble(self) -> StoreUnavailableError | None:
        """Why the last try to write failed; None when it did not."""
        return self._writer.trouble

    def records(
        self, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
    ) -> Iterator[Record]:
        """Records of ``[since, until)``, oldest first, in bounded memory. Raises ``StoreUnavailableError``."""
        return queries.records(self._engine, Window(since, until, limit))

    def events(
        self, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
    ) -> Iterator[Event]:
        """Events of ``[since, until)``, oldest first, in bounded memory. Raises ``StoreUnavailableError``."""
        return queries.events(self._engine, Window(since, until, limit))

    def events_of(self, query_id: str) -> tuple[Event, ...]:
        """What is known to have been done with one query's results. Raises ``StoreUnavailableError``."""
        return queries.events_of(self._engine, query_id)

    def owner_of(self, query_id: str) -> Owner | None:
        """Whose query it was, also while its record waits to be written; None: there is no such query.

        Raises ``StoreUnavailableError``.
        """
        # In this order: a record leaves the backlog only when it is in the database.
        return self._backlog.owner_of(query_id) or queries.owner_of(self._engine, query_id)

    def freeze(self, profile: Profile) -> None:
        """Keep a reference for drift; it holds under its name from now on. Raises ``StoreUnavailableError``."""
        self._on_writer(partial(profiles.write, self._engine, profile))

    def profile(self, name: str) -> Profile | None:
        """The reference that holds under a name; None: there is none.

        Raises ``ProfileError`` for one that cannot be read, and ``StoreUnavailableError``.
        """
        return profiles.read(self._engine, name)

    def profile_names(self) -> tuple[str, ...]:
        """Of all references there are. Raises ``StoreUnavailableError``."""
        return profiles.names(self._engine)

    def add_rollups(self, deltas: Sequence[tuple[RollupKey, Rollup]], writer: str) -> None:
        """Keep counts (see ``rollup_store``). ``writer`` is a new name for every flush, the same for its retries.

        Raises ``StoreUnavailableError``: they are not kept, or nobody knows; add the same again.
        """
        self._on_writer(partial(rollup_store.write, self._engine, deltas, writer))

    def rollups(
        self, since: datetime, until: datetime, step: timedelta
    ) -> list[tuple[datetime, RollupKey, Rollup]]:
        """Counts of ``[since, until)``, a sum a step and key (see ``rollup_store.read``)."""
        return rollup_store.read(self._engine, since, until, step)

    def tidy_rollups(self, now: datetime, before: datetime | None = None) -> int:
        """Merge rollups that are old enough; delete those from before a time: how many. Raises as ``note``."""
        self._on_writer(partial(rollup_store.compact, self._engine, now))
        self._on_writer(partial(rollup_store.forget_flushes, self._engine, now))
        return 0 if before is None else self._on_writer(partial(rollup_store.purge, self._engine, before))

    def note(self, entries: Sequence[Entry]) -> None:
        """Add to the journal, all or nothing. Raises ``StoreUnavailableError``."""
        self._on_writer(partial(journal.append, self._engine, entries))

    def journal(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        alarm: str | None = None,
        kinds: Collection[Kind] = tuple(Kind),
        newest: int = 1_000,
    ) -> list[Entry]:
        """Entries of ``[since, until)``, oldest first; of many the newest. Raises ``StoreUnavailableError``."""
        return journal.read(self._engine, since, until, alarm=alarm, kinds=kinds, newest=newest)

    def candidate(self) -> Leader:
        """Somebody who may become the one of several processes that judges."""
        return Leader(self._engine)

    def followed(
        self, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
    ) -> Iterator[Aftermath]:
        """What became of queries of ``[since, until)``, by time of the query. Raises ``StoreUnavailableError``."""
        return followed.read(self._engine, Window(since, until, limit))

    def keep(self, rows: Sequence[Aftermath]) -> list[bool]:
        """Keep what became of queries, behind all that was observed before; for each, whether it is new.

        Not kept is what the store knows already, and what it has no record of: erased, purged or lost. Raises
        ``StoreUnavailableError``: then keep them again.
        """
        return self._on_writer(partial(self._keep, rows))

    def unfollowed(self, since: datetime, until: datetime, limit: int) -> Leftover:
        """Answered queries of ``[since, until)`` of which nobody has said what became of them; the newest ``limit``.

        Raises ``StoreUnavailableError``.
        """
        return followed.unfollowed(self._engine, since, until, limit)

    def on_erasure(self, forget: Callable[..., object]) -> None:
        """Have others forget, too: ``erase`` calls ``forget(*sessions, key_id=...)`` before it deletes anything."""
        self._forget.append(forget)

    def purge(self, before: datetime, most: int | None = None) -> Deleted:
        """Delete all that is older, in small steps between which others write.

        With ``most``, no step more once so many rows of a table are gone: then there may be others. Raises
        ``StoreUnavailableError``.
        """
        some = partial(retention.purge_some, self._engine, before)
        total = retention.repeat(lambda: self._on_writer(some), most)
        self._on_writer(partial(retention.empty_log, self._engine))
        return total

    def erase(self, *sessions: str, key_id: str | None = None, also: Also = nothing_else) -> Deleted:
        """Delete all of these sessions for good (see ``retention``), what still waits to be written included.

        Sessions are the clients' own names: with ``key_id`` only those of that API key. ``also`` deletes what is kept
        elsewhere of their requests; where it raises, nothing is deleted here. Raises ``StoreUnavailableError``: then
        erase again.
        """
        for forget in self._forget:
            forget(*sessions, key_id=key_id)
        whose = Sessions(tuple(map(plain, sessions)), key_id)
        return self._on_writer(partial(retention.erase, self._engine, whose, also))

    def export(
        self,
        folder: Path,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        with_text: bool = False,
    ) -> dict[Path, int]:
        """Write ``[since, until)`` as Parquet into a folder (see ``export``): the files, and the rows of each.

        Raises ``MissingPackageError`` without pyarrow, and ``StoreUnavailableError``.
        """
        return export(self._engine, folder, Window(since, until), with_text=with_text)

    def _on_writer(self, job: Callable[[], T]) -> T:
        def prepared() -> T:
            self._prepare()  # a store that was away at the start may have no tables yet
            return job()

        result: T = self._wait_for(prepared).result()
        return result

    def _wait_for(self, what: Any) -> Future[Any]:
        waiter: Future[Any] = Future()
        waiter.set_running_or_notify_cancel()  # from here on it cannot be cancelled, and the writer may set it
        if not self._backlog.put(Pending(what, waiter)):
            waiter.set_exception(
                StoreUnavailableError(
                    f"the event store is closed, or its backlog of {self._limits.backlog} is full: try again later"
                )
            )
        return waiter

    def _write(self, items: Sequence[Record | Event]) -> list[bool]:
        try:
            self._prepare()
            with database.writing(self._engine) as connection:
                return insert_all(connection, items)
        except SchemaVersionError as error:  # a server that came back as another: keep what there is room for
            raise StoreUnavailableError(*error.args) from error
        except Exception as error:
            if database.is_outage(error):
                self._engine.dispose()  # a connection opened on a read-only disk stays read-only
            raise

    def _keep(self, rows: Sequence[Aftermath]) -> list[bool]:
        self._prepare()
        with database.writing(self._engine) as connection:
            return followed.write(connection, rows)

    def _prepare(self) -> None:
        if not self._ready:
            with database.writing(self._engine) as connection:
                migrate(connection)
            self._ready = True
