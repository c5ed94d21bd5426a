"""``/v1/search``, ``/v1/search/text``, ``/v1/events`` on a real server: what is found, what is stored, whose it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving_app import Running, wait_for

from monitoring.record import Event, EventType, Outcome, Transport
from serving.keys import KeyStore, Scope
from serving.startup import WAITING_SEARCHES

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


def typed(server: Running, query: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{server.base_url}/v1/search/text", json={"query": query, **more}, timeout=60)


def event(server: Running, **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    return httpx.post(f"{server.base_url}/v1/events", json=fields, headers=headers, timeout=60)


def events(server: Running) -> list[Event]:
    return [seen for seen in server.observed if isinstance(seen, Event)]


def test_a_typed_query_finds_its_book(server: Running) -> None:
    """A title, an alias, and a title with a slip of the finger."""
    for query in ("Moby Dick", "huckleberry finn", "prid and prejudise"):
        answer = typed(server, query)
        assert answer.status_code == 200
        found = answer.json()
        assert found["query_id"].startswith("q_")
        record = server.record(answer.headers["x-request-id"])
        assert (record.transport, record.outcome, record.query_id) == (
            Transport.TEXT,
            Outcome.OK,
            found["query_id"],
        )
        assert record.results == tuple(item["id"] for item in found["results"])
        assert record.text == query
    assert "Prejudice" in found["results"][0]["title"]


def test_a_spoken_query_is_understood_and_searched(server: Running) -> None:
    """The transcript with its words, the results, and a record with every stage."""
    answer = httpx.post(
        f"{server.base_url}/v1/search",
        files={"file": ("q.wav", (SAMPLES / "play_jazz.wav").read_bytes(), "audio/wav")},
        data={"k": "3", "session": "sofa"},
        timeout=60,
    )
    found = answer.json()
    assert answer.status_code == 200, found
    assert "jazz" in found["transcript"]["text"]
    assert [word["word"] for word in found["transcript"]["words"]] == found["transcript"]["text"].split()
    assert len(found["results"]) <= 3
    record = server.record(answer.headers["x-request-id"])
    assert (record.transport, record.session, record.status) == (Transport.SEARCH, "sofa", 200)
    assert {"queue", "decode", "vad", "model", "beam", "search"} <= record.stages_s.keys()
    assert record.clip is not None
    assert record.clip.duration_s == pytest.approx(found["transcript"]["words"][-1]["end"], abs=2.0)
    assert record.fields_missing == ("device",)
    assert record.top_score == (found["results"][0]["score"] if found["results"] else None)
    assert None not in (record.entropy, record.perplexity)


def test_silence_is_a_typed_null_with_no_results(server: Running) -> None:
    """Nothing said, nothing found, and the reason why."""
    answer = httpx.post(
        f"{server.base_url}/v1/search", files={"file": (SAMPLES / "silence.wav").read_bytes()}, timeout=60
    )
    found = answer.json()
    assert found["transcript"] == {"text": "", "confidence": 0.0, "words": [], "null_reason": "no_speech"}
    assert found["results"] == []
    assert server.record(answer.headers["x-request-id"]).outcome is Outcome.NO_SPEECH


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x" * 501}, "query"),
        ({"query": "x", "k": 0}, "k"),
        ({"query": "x", "k": 51}, "k"),
        ({"query": "x", "session": "s" * 65}, "session"),
        ({"query": "x", "lexicon": 1}, "lexicon"),
        ({"query": 5}, "query"),
    ],
)
def test_a_bad_query_names_its_parameter(server: Running, body: dict[str, Any], param: str) -> None:
    """400 in OpenAI's envelope, and one record of it."""
    answer = httpx.post(f"{server.base_url}/v1/search/text", json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert server.record(answer.headers["x-request-id"]).status == 400


@pytest.mark.parametrize(
    "count",
    ["0", "51", "-1", "many", "1e3", "", "0050999", "\u0665", pytest.param("0001" + "9" * 5000, id="long")],
)
def test_a_bad_count_of_results_is_refused(server: Running, count: str) -> None:
    """``k`` of a form is a number from 1 to 50."""
    answer = httpx.post(
        f"{server.base_url}/v1/search",
        files={"file": (SAMPLES / "play_jazz.wav").read_bytes()},
        data={"k": count},
        timeout=60,
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "k")


def test_an_event_is_stored_once(server: Running) -> None:
    """The same event twice is acknowledged twice and stored once; observers hear of it once."""
    query_id = typed(server, "dracula").json()["query_id"]
    click = {"query_id": query_id, "event_id": "e1", "type": "click", "item_id": "dracula"}
    assert event(server, **click).json() == {"event_id": "e1", "stored": True, "new": True}
    assert event(server, **click).json() == {"event_id": "e1", "stored": True, "new": False}
    seen = [one for one in events(server) if one.query_id == query_id]
    assert [(one.type, one.item_id) for one in seen] == [(EventType.CLICK, "dracula")]
    store = server.app.state.services.store
    wait_for(lambda: len(store.events_of(query_id)) == 1, "the event in the store")


def test_two_clients_may_choose_the_same_event_id(server: Running) -> None:
    """An event id is the client's own: it names an event of one query."""
    first, second = (typed(server, "emma").json()["query_id"] for _ in range(2))
    for query_id in (first, second):
        answer = event(server, query_id=query_id, event_id="1", type="dismiss")
        assert answer.json() == {"event_id": "1", "stored": True, "new": True}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"type": "click"}, 400, None),  # of what?
        ({"type": "typed"}, 400, None),  # what?
        ({"type": "hover"}, 400, "type"),
        ({"type": "redo", "at": "2999-01-01T00:00:00Z"}, 400, "at"),
        ({"type": "redo", "at": "yesterday"}, 400, "at"),
        ({"type": "redo", "at": "1970-01-01T00:00:00Z"}, 400, "at"),
        ({"type": "redo", "at": "0001-01-01T00:00:00+14:00"}, 400, "at"),  # before the first year in UTC
        ({"type": "redo", "at": "9999-12-31T23:59:59-14:00"}, 400, "at"),  # after the last one
        ({"type": "redo", "event_id": "no spaces"}, 400, "event_id"),
        ({"type": "redo", "query_id": "q_nobody"}, 404, "query_id"),
    ],
)
def test_a_bad_event_is_refused(
    server: Running, fields: dict[str, Any], status: int, param: str | None
) -> None:
    """With the parameter at fault, and nothing is stored."""
    before = len(events(server))
    query_id = typed(server, "emma").json()["query_id"]
    answer = event(server, **{"query_id": query_id, "event_id": "e", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert len(events(server)) == before


def test_queries_belong_to_their_key(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """P6: another key's query_id looks like one that never was; a key without the scope gets nowhere."""
    store = KeyStore(tmp_path / "keys.db")
    owner, other = (store.create(name, frozenset({Scope.SEARCH, Scope.EVENTS}), None).secret for name in "ab")
    blind = store.create("c", frozenset({Scope.TRANSCRIBE}), None).secret
    server = start_server(keys=store.path)

    def bearer(secret: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {secret}"}

    assert typed(server, "emma").status_code == 401
    url = f"{server.base_url}/v1/search/text"
    assert httpx.post(url, json={"query": "emma"}, headers=bearer(blind)).status_code == 403
    query_id = httpx.post(url, json={"query": "emma"}, headers=bearer(owner)).json()["query_id"]
    dismissed = {"query_id": query_id, "event_id": "1", "type": "dismiss"}
    refused = event(server, **dismissed, headers=bearer(other))
    never = event(server, **{**dismissed, "query_id": "q_never"}, headers=bearer(other))
    assert refused.status_code == never.status_code == 404
    assert refused.json() == never.json()
    assert event(server, **dismissed, headers=bearer(blind)).status_code == 403
    assert event(server, **dismissed, headers=bearer(owner)).json()["new"] is True


def test_a_typed_query_costs_as_much_as_the_shortest_clip(
    start_server: Callable[..., Running], tmp_path: Path
) -> None:
    """A key that has spent what it has is told so, and when to come back."""
    store = KeyStore(tmp_path / "keys.db")
    secret = store.create("a", frozenset({Scope.SEARCH}), None).secret
    server = start_server(keys=store.path, audio_s_per_minute=0.01)  # one second at first, then none for long
    url, key = f"{server.base_url}/v1/search/text", {"Authorization": f"Bearer {secret}"}
    assert httpx.post(url, json={"query": "emma"}, headers=key, timeout=60).status_code == 200
    refused = httpx.post(url, json={"query": "emma"}, headers=key, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) > 0


def test_a_clip_that_cannot_be_decoded_costs_as_much_as_the_shortest(
    start_server: Callable[..., Running], tmp_path: Path
) -> None:
    """Refusing it took work, too: a key may not have that done for ever."""
    store = KeyStore(tmp_path / "keys.db")
    secret = store.create("a", frozenset({Scope.SEARCH}), None).secret
    server = start_server(keys=store.path, audio_s_per_minute=0.01)

    def spoil() -> httpx.Response:
        return httpx.post(
            f"{server.base_url}/v1/search",
            files={"file": b"RIFF\x04\x00\x00\x00WAVE"},
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
        )

    assert [spoil().status_code for _ in range(2)] == [422, 429]


def test_queries_that_too_many_wait_before_are_refused(server: Running) -> None:
    """503 at once, with Retry-After; and once the others are through, an answer again."""
    services = server.app.state.services
    gate = threading.Event()
    others = [
        asyncio.run_coroutine_threadsafe(services.searches.run(gate.wait), services.engine.loop)
        for _ in range(services.settings.workers + WAITING_SEARCHES)
    ]
    try:
        refused = typed(server, "emma")
    finally:
        gate.set()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert all(other.result(60) for other in others)
    assert typed(server, "emma").status_code == 200


def test_a_server_without_a_catalogue_says_so(start_server: Callable[..., Running]) -> None:
    """404 with what to do, on both ways of searching."""
    server = start_server(catalogs=())
    assert typed(server, "emma").json()["error"]["code"] == "no_catalog"
    answer = httpx.post(f"{server.base_url}/v1/search", files={"file": b"RIFF"}, timeout=60)
    assert answer.json()["error"]["code"] == "no_catalog"


def test_events_outlive_the_server(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """With a state folder, what was acknowledged is in a file that only its owner may read."""
    server = start_server(state_folder=tmp_path / "state")
    query_id = typed(server, "emma").json()["query_id"]
    assert event(server, query_id=query_id, event_id="1", type="redo").json()["stored"]
    (file,) = (tmp_path / "state").glob("*.sqlite3")
    assert file.stat().st_mode & 0o077 == 0
    another = start_server(state_folder=tmp_path / "state")  # as after a restart
    assert event(another, query_id=query_id, event_id="1", type="redo").json()["new"] is False
    assert event(another, query_id=query_id, event_id="2", type="redo").json()["new"] is True
