"""When there is no answer, the page says why, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
from serving.keys import KeyStore, Scope

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
serving_app = pytest.importorskip("serving_app", reason="needs the extra serve")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute
    from serving_app import Running

ENOUGH_PACKETS = 20  # of 32 ms: less sound would be too short to judge
OTHER_NAME = "--host-resolver-rules=MAP voice.test 127.0.0.1"  # http there is no secure context


def speak(page: Page) -> None:
    """Press the button and let go."""
    page.get_by_role("button", name="Speak").click()


def says(page: Page, title: str) -> None:
    """The notice is there, also for a screen reader, with a way on: the field to type into."""
    expect(page.locator("#notice-title")).to_have_text(title)
    expect(page.locator("#announcer")).to_contain_text(title)
    expect(page.get_by_role("textbox", name="Your query, typed")).to_be_visible()
    expect(page.get_by_role("button", name="Speak")).to_have_attribute("aria-pressed", "false")


def new_key(path: Path) -> str:
    """The secret of a key that may do what the page does."""
    scopes = frozenset({Scope.TRANSCRIBE, Scope.SEARCH, Scope.EVENTS})
    return KeyStore(path).create("page", scopes, None).secret


def final(reason: str) -> Callable[[WebSocketRoute], None]:
    """A service that answers with this null reason."""
    answer = {"type": "final", "text": "", "words": [], "confidence": 0.1, "query_id": "q_1", "results": []}
    return replying({**answer, "null_reason": reason})


def replying(message: dict[str, Any]) -> Callable[[WebSocketRoute], None]:
    """A service that answers the config with ``message``."""
    return lambda socket: socket.on_message(
        lambda sent: socket.send(json.dumps(message)) if isinstance(sent, str) else None
    )


def test_a_silent_room(visit: Callable[..., Page], server: Running) -> None:
    """Digital silence, stopped by hand: nothing was heard. Trying again listens again."""
    page = visit(server.base_url)
    speak(page)
    expect(page.locator("#hint")).to_contain_text("Listening")
    speak(page)
    says(page, "I heard nothing")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#hint")).to_contain_text("Listening")


def test_nobody_speaks(visit: Callable[..., Page], server: Running) -> None:
    """Seven seconds of silence end by themselves."""
    page = visit(server.base_url)
    packets: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda sent: packets.append(sent)))
    page.clock.install()
    speak(page)
    for _ in range(3_000):  # a minute at most
        if len(packets) >= ENOUGH_PACKETS:
            break
        page.wait_for_timeout(20)
    page.clock.fast_forward(7_000)
    page.clock.fast_forward(100)
    says(page, "I heard nothing")


def test_a_voice_from_far_away(visit: Callable[..., Page], server: Running) -> None:
    """Speech below what can be levelled is told from silence."""
    page = visit(server.base_url, "too_quiet.flac")
    speak(page)
    says(page, "That was too quiet")


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("no_speech", "I heard nothing"),
        ("too_quiet", "That was too quiet"),
        ("too_short", "That was too short"),
        ("low_confidence", "I did not understand that"),
    ],
)
def test_each_null_reason(visit: Callable[..., Page], server: Running, reason: str, title: str) -> None:
    """Each has words of its own."""
    page = visit(server.base_url)
    page.route_web_socket("**/v1/stream", final(reason))
    speak(page)
    says(page, title)


def test_nothing_found(visit: Callable[..., Page], server: Running) -> None:
    """A query that is like nothing in the catalogue has an empty list, said in words."""
    page = visit(server.base_url)
    field = page.get_by_role("textbox", name="Your query, typed")
    field.fill("zzyzx qqqq")
    field.press("Enter")
    expect(page.get_by_role("heading", name="Nothing in the catalogue is like that")).to_be_visible()
    expect(page.locator("#cards .card")).to_have_count(0)


def test_the_microphone_is_refused(visit: Callable[..., Page], server: Running) -> None:
    """A person who says no may type, and is told where to say yes."""
    page = visit(server.base_url, allowed=False)
    speak(page)
    says(page, "I may not use the microphone")


@pytest.mark.parametrize(
    ("error", "title"),
    [("NotFoundError", "There is no microphone"), ("NotReadableError", "The microphone is busy")],
)
def test_there_is_no_microphone(visit: Callable[..., Page], server: Running, error: str, title: str) -> None:
    """What a browser says without one, or with one that another program has."""
    script = f"MediaDevices.prototype.getUserMedia = async () => {{ throw new DOMException('', '{error}'); }}"
    page = visit(server.base_url, script=script)
    speak(page)
    says(page, title)


def test_a_key_and_an_insecure_address(
    visit: Callable[..., Page], start_server: Callable[..., Running], tmp_path: Path, complaints: list[str]
) -> None:
    """A server with keys, over plain http from another name: no microphone there; typing asks for a key, and has it."""
    path = tmp_path / "keys"
    key = new_key(path)
    running = start_server(keys=path)
    page = visit(f"http://voice.test:{running.port}", flags=(OTHER_NAME,))
    speak(page)
    says(page, "The microphone needs a secure connection")
    field = page.get_by_role("textbox", name="Your query, typed")
    field.fill("espresso")
    field.press("Enter")
    says(page, "This server asks for a key")
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_role("textbox", name="API key").fill(key)
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#cards .card").first).to_be_visible()
    assert len(complaints) == 2
    assert "Cross-Origin-Opener-Policy header has been ignored" in complaints[0]  # as it says: insecure
    assert "401" in complaints[1]
    complaints.clear()


def test_a_key_goes_with_the_stream(
    visit: Callable[..., Page], start_server: Callable[..., Running], tmp_path: Path, complaints: list[str]
) -> None:
    """Without a key the stream is refused before it opens, and the page finds out why; with one it is heard."""
    path = tmp_path / "keys"
    key = new_key(path)
    page = visit(start_server(keys=path).base_url, "coffee_order.flac")
    speak(page)
    says(page, "This server asks for a key")
    assert len(complaints) == 2
    assert "Authentication failed" in complaints[0]  # of the stream
    assert "401" in complaints[1]  # of the question why
    complaints.clear()
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_role("textbox", name="API key").fill(key)
    page.keyboard.press("Enter")
    speak(page)
    expect(page.locator("#heard-text")).to_contain_text("a large")


def test_a_full_server(visit: Callable[..., Page], start_server: Callable[..., Running]) -> None:
    """No seat is left: the page says so and when to come back."""
    page = visit(start_server(max_streams=0).base_url)
    speak(page)
    says(page, "The server is busy")
    expect(page.locator("#notice-detail")).to_contain_text("Try again in 5 seconds.")


def test_the_connection_breaks(visit: Callable[..., Page], server: Running) -> None:
    """What was heard up to then is not lost: it stands in the field."""

    def breaking(socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: None)
        socket.send(json.dumps({"type": "partial", "text": "a large"}))
        socket.close(code=1011)

    page = visit(server.base_url)
    page.route_web_socket("**/v1/stream", breaking)
    speak(page)
    says(page, "The connection was lost")
    expect(page.get_by_role("textbox", name="Your query, typed")).to_have_value("a large")


def test_the_server_is_gone(visit: Callable[..., Page], server: Running, complaints: list[str]) -> None:
    """Nobody answers: neither the stream, nor the question why."""
    page = visit(server.base_url)
    page.context.set_offline(True)
    field = page.get_by_role("textbox", name="Your query, typed")
    field.fill("latte")
    field.press("Enter")
    says(page, "The connection was lost")
    expect(field).to_be_focused()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()  # what was typed
    expect(page.locator("#cards .card .title").first).to_have_text("latte")
    assert all("ERR_INTERNET_DISCONNECTED" in said for said in complaints)
    complaints.clear()


def test_no_catalogue(
    visit: Callable[..., Page], start_server: Callable[..., Running], complaints: list[str]
) -> None:
    """A server that only transcribes has nothing to search, spoken or typed."""
    page = visit(start_server(catalogs=()).base_url)
    speak(page)
    says(page, "There is nothing to search here")
    field = page.get_by_role("textbox", name="Your query, typed")
    field.fill("latte")
    field.press("Enter")
    says(page, "There is nothing to search here")
    assert all("404" in said for said in complaints)
    complaints.clear()
