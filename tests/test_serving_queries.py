"""``serving.queries``: what is remembered of answered queries, and what is forgotten when somebody asks for it."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from serving.queries import Queries


def test_an_erased_session_is_not_remembered() -> None:
    """Its queries look like none that ever were, so no event on them can bring its name back; others' are there."""
    queries = Queries()
    mine, others, nobodys = (queries.open("key", "en@1", session) for session in ("s", "t", None))
    queries.forget("s", "unknown")
    assert queries.find(mine.id, "key") is None
    assert (queries.find(others.id, "key"), queries.find(nobodys.id, "key")) == (others, nobodys)
