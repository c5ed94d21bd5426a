"""Erasing a session, over HTTP and at the machine: nothing that it said, typed or was called is left in any file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
httpx = pytest.importorskip("httpx", reason="needs the extra test")

from serving_app import Running, clip, wait_for  # noqa: E402  # after the skips

from monitoring.errors import StoreUnavailableError  # noqa: E402
from monitoring.record import Outcome, Record, Transport  # noqa: E402
from monitoring.storage.database import create_engine, parse_url, reading  # noqa: E402
from monitoring.store import EventStore  # noqa: E402
from serving.commands.erase import COMMAND  # noqa: E402
from serving.erasure import Erased, erase, spellings  # noqa: E402
from serving.keys import KeyStore, Scope  # noqa: E402
from serving.queries import Queries  # noqa: E402
from serving.retention import AudioStore  # noqa: E402

CLIP = clip()[1]
SAID = "play some jazz music"
SESSION = "kanarie/küche 7"  # a slash, a space, and what headers are not made for
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECORD = Record("r0", NOON, Transport.REST, Outcome.OK, 200, "en-small@0", 0.1, query_id="q0", session="sofa")


class Client:
    """Somebody with a key, in a session."""

    def __init__(self, serving: Running, key: str, session: str) -> None:
        self.headers = {"Authorization": f"Bearer {key}", "X-Session-Id": session.encode()}
        self.base_url = serving.base_url

    def post(self, path: str, **body: Any) -> Any:
        """The answer, which is good."""
        answer = httpx.post(f"{self.base_url}{path}", headers=self.headers, timeout=60, **body)
        assert answer.status_code == 200, answer.text
        return answer

    def speaks(self, name: str = "play_jazz.wav") -> str:
        """A clip to keep; what was heard."""
        data = {"model": "en-small", "retain": "true"}
        answer = self.post("/v1/audio/transcriptions", data=data, files={"file": clip(name)})
        assert answer.headers["x-audio-retained"] == "true"
        heard: str = answer.json()["text"]
        return heard

    def types(self, text: str) -> str:
        """A query, and what was typed instead of it; its id."""
        query_id: str = self.post("/v1/search/text", json={"query": text}).json()["query_id"]
        self.typed_instead(query_id, text)
        return query_id

    def typed_instead(self, query_id: str, text: str) -> None:
        """An event that holds a text."""
        self.post(
            "/v1/events",
            json={"query_id": query_id, "event_id": text[:3].strip(), "type": "typed", "text": text},
        )


def delete(serving: Running, key: str, session: str, **parameters: str) -> Any:
    """The answer to an erasure."""
    path = httpx.URL(serving.base_url).copy_with(raw_path=f"/v1/sessions/{quote(session, safe='')}".encode())
    return httpx.delete(
        path, params=parameters or None, headers={"Authorization": f"Bearer {key}"}, timeout=60
    )


def holding(folder: Path, *canaries: bytes) -> list[str]:
    """The files below a folder that hold one of these, or are named so."""
    return [
        f"{path.name}: {canary[:40]!r}"
        for path in sorted(folder.rglob("*"))
        for canary in canaries
        if canary in path.name.encode() or (path.is_file() and canary in path.read_bytes())
    ]


def exported(store: EventStore, folder: Path) -> bytes:
    """All that an export with texts holds, as text: Parquet is compressed."""
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    files = store.export(folder, with_text=True)
    return b"".join(json.dumps(pq.read_table(path).to_pylist(), default=str).encode() for path in files)


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Secrets: an admin's and two clients'; ``ID`` of one has the id of its key."""
    store = KeyStore(tmp_path / "keys" / "keys.db")
    client = frozenset({Scope.TRANSCRIBE, Scope.SEARCH, Scope.EVENTS})
    issued = {"admin": store.create("admin", frozenset({Scope.ADMIN}), None)}
    issued |= {name: store.create(name, client, None) for name in ("one", "two")}
    return {name: one.secret for name, one in issued.items()} | {
        f"{name} id": one.key.id for name, one in issued.items()
    }


def test_an_erased_session_is_nowhere(
    start_server: Callable[..., Running], tmp_path: Path, keys: dict[str, str]
) -> None:
    """Spoken, typed, and kept as audio: after one DELETE no file, no name of a file and no export has any of it."""
    state = tmp_path / "state"
    serving = start_server(
        catalogs=("cafe",), keys=tmp_path / "keys" / "keys.db", state_folder=state, retain_audio_days=2.0
    )
    store = serving.app.state.services.store
    person, other = Client(serving, keys["one"], SESSION), Client(serving, keys["one"], "other")
    assert person.speaks() == SAID
    query_id = person.types("zanzibar quark")
    others = other.speaks("taxi.ogg").encode()
    other.types("kept for the other")
    stored = SESSION.encode().decode("latin-1")  # a header's bytes are read so
    said = [SAID.encode(), b"zanzibar quark", stored.encode(), query_id.encode(), CLIP]
    canaries = [*said, SESSION.encode()]
    store.flush()
    for canary in said:
        assert holding(state, canary), "the files are looked at where it is"
    before = exported(store, tmp_path / "before")
    for canary in (SAID.encode(), b"zanzibar quark", query_id.encode()):
        assert canary in before

    answer = delete(serving, keys["admin"], SESSION)
    assert (answer.status_code, answer.json()) == (
        200, {"records": 2, "events": 1, "followed": 0, "clips": 1},
    )  # fmt: skip
    assert holding(state, *canaries) == []
    after = exported(store, tmp_path / "after")
    assert [canary for canary in canaries if canary in after] == []
    assert others in after
    assert b"kept for the other" in after
    assert len(holding(state, clip("taxi.ogg")[1])) == 1
    again = delete(serving, keys["admin"], SESSION)
    assert again.json() == {"records": 0, "events": 0, "followed": 0, "clips": 0}
    late = httpx.post(
        f"{serving.base_url}/v1/events",
        json={"query_id": query_id, "event_id": "late", "type": "typed", "text": "zanzibar quark"},
        headers=person.headers,
    )
    assert late.status_code == 404, "nothing comes back by an event that comes late"
    assert holding(state, *canaries) == []


def test_a_session_of_one_key_is_erased_alone(
    start_server: Callable[..., Running], tmp_path: Path, keys: dict[str, str]
) -> None:
    """Two clients chose one name: with ``key_id`` the other's stays, its events and the server's memory of it too."""
    serving = start_server(catalogs=("cafe",), keys=tmp_path / "keys" / "keys.db", state_folder=tmp_path)
    store = serving.app.state.services.store
    one, two = (Client(serving, keys[name], "sofa") for name in ("one", "two"))
    one.types("mine")
    query_id = two.types("of the other")
    answer = delete(serving, keys["admin"], "sofa", key_id=keys["one id"])
    assert answer.json() == {"records": 1, "events": 1, "followed": 0, "clips": 0}
    assert [(record.key_id, record.text) for record in store.records()] == [(keys["two id"], "of the other")]
    two.typed_instead(query_id, "and more")
    assert {event.text for event in store.events()} == {"of the other", "and more"}
    assert delete(serving, keys["admin"], "sofa").json()["records"] == 1
    assert list(store.records()) == []


def test_any_name_can_be_erased(
    start_server: Callable[..., Running], tmp_path: Path, keys: dict[str, str]
) -> None:
    """Clients choose them: also with line breaks and whatever else an address has to quote."""
    serving = start_server(catalogs=(), keys=tmp_path / "keys" / "keys.db")
    names = ("a", "a\n", "a\nb", "\n", "a..b", "a//b/", "a?b#c", "%2F", " ", "é\U0001f3b7")
    for number, name in enumerate(names):
        record = replace(RECORD, request_id=f"r{number}", query_id=None, at=datetime.now(UTC), session=name)
        serving.app.state.services.store.observe(record)
    for name in reversed(names):
        answer = delete(serving, keys["admin"], name)
        assert (answer.status_code, answer.json()["records"]) == (200, 1), repr(name)


def test_only_an_administrator_erases(
    start_server: Callable[..., Running], tmp_path: Path, keys: dict[str, str]
) -> None:
    """Another key is refused, and so is everybody where the server runs without keys; an empty name is none."""
    serving = start_server(catalogs=(), keys=tmp_path / "keys" / "keys.db")
    assert delete(serving, keys["one"], "sofa").status_code == 403
    assert delete(serving, "vs_nobody", "sofa").status_code == 401
    assert delete(serving, keys["admin"], "").status_code == 400
    assert delete(serving, keys["admin"], "x" * 257).status_code == 400
    open_to_all = start_server(catalogs=())
    assert delete(open_to_all, "none", "sofa").status_code == 403


def test_a_store_that_cannot_is_told(
    start_server: Callable[..., Running],
    tmp_path: Path,
    keys: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """503 and when to come back, while somebody who reads keeps the log; afterwards the same request does it."""
    monkeypatch.setattr("monitoring.storage.database.BUSY_TIMEOUT_MS", 50)
    serving = start_server(
        catalogs=(), keys=tmp_path / "keys" / "keys.db", state_folder=tmp_path, watch=False
    )
    serving.app.state.services.store.observe(replace(RECORD, at=datetime.now(UTC), text="zanzibar quark"))
    reader = create_engine(parse_url(f"sqlite:///{tmp_path}/events.sqlite3"))
    with reading(reader) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM records").scalar()
        answer = delete(serving, keys["admin"], "sofa")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "erase it again" in answer.json()["error"]["message"]
    reader.dispose()
    assert delete(serving, keys["admin"], "sofa").status_code == 200
    assert holding(tmp_path, b"zanzibar quark") == []


def test_a_clip_that_stays_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody would find the clip again: nothing is erased until all is, and then no less."""
    audio = AudioStore(tmp_path / "audio", 1.0)
    audio.keep("r0", CLIP, NOON)
    unlink = Path.unlink

    def stuck(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".wav":
            raise PermissionError(1, "read-only")
        unlink(path, missing_ok)

    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        store.observe(RECORD)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", stuck)  # no mode stops root, who may run this
            with pytest.raises(StoreUnavailableError, match="a retained clip cannot be deleted"):
                erase(store, audio, ["sofa"])
        assert [record.request_id for record in store.records()] == ["r0"]
        assert erase(store, audio, ["sofa"]) == Erased(records=1, events=0, followed=0, clips=1)
    assert holding(tmp_path, CLIP) == []


def test_a_name_is_found_as_it_was_recorded() -> None:
    """Cut at 64 characters; a header's UTF-8 reads as Latin-1."""
    assert spellings("sofa") == ("sofa",)
    assert spellings("é" * 40) == ("é" * 40, "Ã©" * 32)
    assert spellings("x" * 70) == ("x" * 64,)
    assert spellings("\ud800") == ("\ud800", "?")


def test_without_a_watch_the_server_deletes_what_is_old(
    start_server: Callable[..., Running], tmp_path: Path
) -> None:
    """VOICESEARCH_WATCH=false: no alarms, and the same promise."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.sqlite3") as store:
        for number, age in enumerate((1, 8)):
            at = datetime.now(UTC) - timedelta(days=age)
            store.observe(replace(RECORD, request_id=f"r{number}", query_id=f"q{number}", at=at))
    serving = start_server(catalogs=(), state_folder=tmp_path, watch=False, keep_days=7.0)
    store = serving.app.state.services.store
    wait_for(lambda: len(list(store.records())) == 1, "the older record to be deleted")
    assert [record.request_id for record in store.records()] == ["r0"]


def test_an_erased_query_takes_no_events() -> None:
    """Of this key or of all; others stay."""
    queries = Queries()
    opened = {
        (key, session): queries.open(key, "en-small", session).id
        for key in ("a", "b")
        for session in ("sofa", "desk")
    }

    def known() -> set[tuple[str, str]]:
        return {place for place, query_id in opened.items() if queries.find(query_id, place[0])}

    queries.forget("sofa", key_id="a")
    assert known() == {("a", "desk"), ("b", "sofa"), ("b", "desk")}
    queries.forget("sofa", "desk")
    assert known() == set()


def command(*arguments: str) -> int:
    """``voicesearch erase ...``."""
    parser = ArgumentParser()
    COMMAND.add_arguments(parser)
    return COMMAND.run(parser.parse_args(arguments))


@contextmanager
def beside_a_server(state: Path) -> Iterator[EventStore]:
    """A store in a state folder that another process, as it were, has open, with two sessions and a clip."""
    with EventStore.open(f"sqlite:///{state}/events.sqlite3") as store:
        store.observe(replace(RECORD, text="canary"))
        store.observe(
            replace(RECORD, request_id="r1", query_id="q1", session="desk", key_id="k", text="canary")
        )
        store.observe(replace(RECORD, request_id="r2", query_id="q2", session="other", text="stays"))
        store.flush()
        AudioStore(state / "audio", 1.0).keep("r0", CLIP, NOON)
        yield store


def test_who_is_at_the_machine_erases_beside_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several at once, with their audio; by key where told; in a store that is open elsewhere."""
    with beside_a_server(tmp_path) as store:
        assert command("desk", "--state", str(tmp_path), "--key-id", "nobody", "--json") == 0
        assert json.loads(capsys.readouterr().out) == dict.fromkeys(
            ("records", "events", "followed", "clips"), 0
        )
        assert command("sofa", "desk", "--state", str(tmp_path)) == 0
        assert capsys.readouterr().out == "erased: 2 records, 0 events, 0 followed, 1 clips\n"
        assert [record.text for record in store.records()] == ["stays"]
        assert holding(tmp_path, b"canary", CLIP) == []


def test_the_store_may_be_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--store`` as it was named to the server, whose audio is in its state folder all the same."""
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    with beside_a_server(state):
        pass
    elsewhere.mkdir()
    (state / "events.sqlite3").rename(elsewhere / "db")
    assert command("sofa", "--state", str(state), "--store", f"sqlite:///{elsewhere}/db", "--json") == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 1
    assert holding(state, CLIP) == []


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty one would say that all is erased."""
    assert command("sofa", "--state", str(tmp_path)) == 2
    assert "there is no event store at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
