"""The page at /monitor and its questions: what they answer, to whom, and what ten who ask at once cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
import httpx
from monitor_traffic import MODEL, Traffic, count
from serving_app import Running, running
from starlette.requests import Request

from monitoring.storage.journal import Entry, Kind
from serving.answers import AT_ONCE, FRESH_S, MOST, MOST_WAITING, RETRY_S, Answer, Answers
from serving.errors import OverloadedError
from serving.keys import KeyStore, Scope

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose store has an hour of traffic and an alarm."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    url = f"sqlite:///{tmp_path_factory.mktemp('monitored') / 'events.sqlite3'}"
    with running(store=url, catalogs=()) as serving:
        store = serving.app.state.services.store
        count(store, Traffic(NOW - HOUR, NOW, per_minute=4.0))
        store.note([Entry(NOW, "null-rate-high", Kind.FIRED, "too many came out empty")])
        yield serving


def ask(serving: Running, path: str, **options: Any) -> httpx.Response:
    """A question."""
    return httpx.get(f"{serving.base_url}/monitor{path}", **options)


def test_the_page(monitored: Running) -> None:
    """HTML for whoever has the address, under the policy that lets nothing in from elsewhere."""
    answer = ask(monitored, "")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert httpx.head(f"{monitored.base_url}/monitor").status_code == 200


def test_the_numbers(monitored: Running) -> None:
    """An hour in minutes; of one model; of one that never served, nothing."""
    seen = ask(monitored, "/data?since=1h").json()
    assert seen["requests"] > 100
    assert len(seen["times"]) == 60
    assert seen["latency"]["budget_ms"] == 60_000
    assert (
        ask(monitored, "/data", params={"since": "1h", "model": MODEL}).json()["requests"] == seen["requests"]
    )
    assert ask(monitored, "/data?since=1h&model=none").json()["requests"] == 0


def test_alarms_and_drift(monitored: Running) -> None:
    """The alarm that fires; of drift nothing has been judged."""
    assert [each["alarm"] for each in ask(monitored, "/alarms").json()["active"]] == ["null-rate-high"]
    assert ask(monitored, "/drift").json()["reports"] == []


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-01-01&until=2001-01-01",
        "step=5",
        "step=x",
        "since=" + "9" * 41,
        "model=" + "x" * 201,
    ],
)
def test_what_cannot_be_shown_is_refused(monitored: Running, query: str) -> None:
    """400 in the service's form, with the parameter at fault."""
    answer = ask(monitored, f"/data?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.split("=")[0]


def test_what_did_not_change_is_not_sent_again(monitored: Running) -> None:
    """The tag brings 304 without a body; a browser has the rest compressed."""
    first = ask(monitored, "/alarms", headers={"Accept-Encoding": "identity"})
    packed = ask(monitored, "/alarms", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.content == first.content
    assert packed.headers["ETag"] == first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = ask(monitored, "/alarms", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_only_for_those_who_review(tmp_path: Path, start_server: Callable[..., Running]) -> None:
    """Without a key 401, with one of another scope 403, with the scope review all three; the page is for everyone."""
    store = KeyStore(tmp_path / "keys.db")
    review = store.create("review", frozenset({Scope.REVIEW}), None).secret
    search = store.create("search", frozenset({Scope.SEARCH}), None).secret
    serving = start_server(keys=store.path, catalogs=())
    assert ask(serving, "").status_code == 200
    for path in ("/data", "/alarms", "/drift"):
        assert ask(serving, path).status_code == 401
        assert ask(serving, path, headers={"Authorization": f"Bearer {search}"}).status_code == 403
        assert ask(serving, path, headers={"Authorization": f"Bearer {review}"}).status_code == 200


def request(**headers: str) -> Request:
    """With these headers, dashes as underscores."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_ten_who_ask_at_once_cost_one_query() -> None:
    """Made once, in a thread, and once more when it is no longer fresh; another question is another query."""
    made: list[str] = []
    clock = [0.0]

    def make() -> Mapping[str, Any]:
        made.append(threading.current_thread().name)
        return {"n": len(made)}

    async def ten(key: str) -> set[bytes]:
        return {answer.plain for answer in await asyncio.gather(*(answers.get(key, make) for _ in range(10)))}

    async def story() -> None:
        assert await ten("a") == {b'{"n":1}'}
        assert await ten("a") == {b'{"n":1}'}
        assert await ten("b") == {b'{"n":2}'}
        clock[0] += FRESH_S
        assert await ten("a") == {b'{"n":3}'}

    answers = Answers(lambda: clock[0])
    asyncio.run(story())
    assert "MainThread" not in made


def test_a_failure_is_not_kept() -> None:
    """Who waited for it gets it; who asks next has it tried again."""

    def fails() -> Mapping[str, Any]:
        raise OSError("away")

    async def story() -> bytes:
        answers = Answers(lambda: 0.0)
        for _ in range(2):
            with pytest.raises(OSError, match="away"):
                await answers.get("a", fails)
        return (await answers.get("a", dict)).plain

    assert asyncio.run(story()) == b"{}"


def test_who_leaves_does_not_take_it_from_the_others() -> None:
    """A request that is cancelled leaves the answer to those who asked for the same."""
    go = threading.Event()

    def make() -> Mapping[str, Any]:
        go.wait(60)
        return {}

    async def story() -> bytes:
        answers = Answers(lambda: 0.0)
        leaving, staying = (asyncio.create_task(answers.get("a", make)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        go.set()
        return (await staying).plain

    assert asyncio.run(story()) == b"{}"


def test_what_nobody_waits_for_is_not_made_and_too_much_is_refused() -> None:
    """Some run, some wait, the next is told to come back; when those that wait have gone, the next is made at once."""
    go = threading.Event()
    made: list[int] = []

    def making(key: int) -> Callable[[], Mapping[str, Any]]:
        def make() -> Mapping[str, Any]:
            made.append(key)
            go.wait(60)
            return {"key": key}

        return make

    async def story() -> tuple[bytes, list[Any]]:
        answers = Answers(lambda: 0.0)
        asked = []
        for key in range(AT_ONCE + MOST_WAITING):
            asked.append(asyncio.create_task(answers.get(key, making(key))))
            await asyncio.sleep(0)  # it asks
            await asyncio.sleep(0)  # its turn comes, where there is one
        with pytest.raises(OverloadedError, match="wait to be answered") as refused:
            await answers.get("more", dict)
        assert refused.value.retry_after_s == RETRY_S
        for task in asked[AT_ONCE:]:
            task.cancel()
        gone = await asyncio.gather(*asked[AT_ONCE:], return_exceptions=True)
        again = asyncio.create_task(answers.get(AT_ONCE, making(AT_ONCE)))  # what one of those had asked for
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*asked[:AT_ONCE])
        return (await again).plain, gone

    last, gone = asyncio.run(story())
    assert last == b'{"key":%d}' % AT_ONCE
    assert all(isinstance(each, asyncio.CancelledError) for each in gone)
    assert sorted(made) == [*range(AT_ONCE), AT_ONCE]


def test_who_joins_what_waits_is_not_refused() -> None:
    """The last of the line may be asked for by any number; it costs nothing more."""
    go = threading.Event()

    def make() -> Mapping[str, Any]:
        go.wait(60)
        return {}

    async def story() -> list[Answer]:
        answers = Answers(lambda: 0.0)
        keys = [*range(AT_ONCE + MOST_WAITING), *[AT_ONCE] * 20]
        asked = []
        for key in keys:
            asked.append(asyncio.create_task(answers.get(key, make)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*asked)

    assert len(asyncio.run(story())) == AT_ONCE + MOST_WAITING + 20


def test_too_much_is_told_over_http(monitored: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 in the service's form with Retry-After, as its document says of all three questions."""
    monkeypatch.setattr("serving.answers.MOST_WAITING", 0)
    answer = ask(monitored, "/data?since=37m")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "overloaded"
    assert answer.headers["Retry-After"] == str(int(RETRY_S))
    paths = httpx.get(f"{monitored.base_url}/openapi.json").json()["paths"]
    for path in ("/monitor/data", "/monitor/alarms", "/monitor/drift"):
        assert "Retry-After" in paths[path]["get"]["responses"]["503"]["description"]


def test_few_are_kept() -> None:
    """Of many different questions the last; the first is made again."""
    made: list[int] = []

    async def story() -> None:
        answers = Answers(lambda: 0.0)
        for key in (*range(MOST + 1), 0):
            await answers.get(key, lambda key=key: made.append(key) or {})

    asyncio.run(story())
    assert made == [*range(MOST + 1), 0]


def test_tags_in_a_list() -> None:
    """As RFC 9110 has it: one of several, strong or weak, or any."""
    answer = Answer.of({"a": 1})
    for known in (answer.etag, answer.etag.removeprefix("W/"), f'"other", {answer.etag}', "*"):
        assert answer.response(request(if_none_match=known)).status_code == 304
    assert answer.response(request(if_none_match='"other"')).status_code == 200
