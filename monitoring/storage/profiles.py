"""Frozen references in the event store: the newest of a name holds, earlier ones stay. `EventStore` is the way here."""

from __future__ import annotations

from sqlalchemy import Engine, insert, select

from monitoring.drift.profile import Profile
from monitoring.moments import microseconds
from monitoring.storage.database import reading, writing
from monitoring.storage.schema import PROFILES


def write(engine: Engine, profile: Profile) -> None:
    """Keep a reference; of its name it is the one that holds from now on. Earlier ones stay.

    Raises what SQLAlchemy raises: ``database.is_outage`` tells which is which.
    """
    row = {"at_us": microseconds(profile.at), "name": profile.name, "body": profile.as_dict()}
    with writing(engine) as connection:
        connection.execute(insert(PROFILES).values(row))


def read(engine: Engine, name: str) -> Profile | None:
    """The reference that holds under this name; None: there is none.

    Raises ``ProfileError`` for one that cannot be read, and ``StoreUnavailableError``.
    """
    newest = select(PROFILES.c.body).where(PROFILES.c.name == name).order_by(PROFILES.c.id.desc()).limit(1)
    with reading(engine) as connection:
        body = connection.scalar(newest)
    return None if body is None else Profile.from_dict(body)


def names(engine: Engine) -> tuple[str, ...]:
    """Of all references there are. Raises ``StoreUnavailableError``."""
    with reading(engine) as connection:
        return tuple(connection.scalars(select(PROFILES.c.name).distinct().order_by(PROFILES.c.name)))
