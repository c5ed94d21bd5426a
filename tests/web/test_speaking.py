"""The whole walk in a browser: speak, see it heard, choose, correct; and what the service learns of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from monitoring.record import Event, EventType, Record, Transport

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("serving_app", reason="needs the extra serve")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from serving_app import Running

SAMPLE = "coffee_order.flac"
PATIENCE_MS, POLL_MS = 60_000, 20
# A latte; the search finds it in what it sounds like.
HEARD = re.compile(r"^a large \w+ with two sugars please$")
# What Firefox does with a context of another rate than the microphone's.
NO_RATE_CONVERSION = """
  const original = AudioContext.prototype.createMediaStreamSource;
  AudioContext.prototype.createMediaStreamSource = function (media) {
    if (this.sampleRate === 16_000) throw new DOMException("another rate", "NotSupportedError");
    return original.call(this, media);
  };
"""
# How much of the meter is drawn: the sum of its pixels' opacity.
INK = """() => {
  const { width, height } = document.querySelector("#meter");
  const copy = new OffscreenCanvas(width, height).getContext("2d");
  copy.drawImage(document.querySelector("#meter"), 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  return data.reduce((sum, value, at) => sum + (at % 4 === 3 ? value : 0), 0);
}"""


@pytest.fixture
def answered(visit: Callable[..., Page], server: Running) -> Page:
    """The page, a spoken query later."""
    page = visit(server.base_url, SAMPLE)
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#heard-text")).to_have_text(HEARD)
    return page


def session(page: Page) -> str:
    """The tab's name for this sitting."""
    name = page.evaluate("sessionStorage.getItem('voicesearch.session')")
    assert isinstance(name, str)
    return name


def records(server: Running, page: Page, transport: Transport) -> list[Record]:
    """What the service recorded of this tab's queries."""
    name = session(page)
    return [record for record in server.records() if (record.session, record.transport) == (name, transport)]


def event(page: Page, server: Running, query_id: str | None, kind: EventType) -> Event:
    """The one event of that kind about a query; waited for, since the page sends it in the background."""
    found: list[Event] = []
    for _ in range(PATIENCE_MS // POLL_MS):
        seen = [event for event in tuple(server.observed) if isinstance(event, Event)]
        found = [event for event in seen if (event.query_id, event.type) == (query_id, kind)]
        if found:
            break
        page.wait_for_timeout(POLL_MS)  # a plain sleep would hold up the browser's driver
    assert len(found) == 1, f"a {kind} about {query_id}"
    return found[0]


def test_a_spoken_query_is_heard_answered_and_clicked(visit: Callable[..., Page], server: Running) -> None:
    """Speak -> partial -> final -> results -> click -> the event is with the service, about that query."""
    page = visit(server.base_url, SAMPLE)
    button = page.get_by_role("button", name="Speak")
    expect(button).to_have_attribute("aria-pressed", "false")
    resting = page.evaluate(INK)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#partial")).to_have_text(re.compile(r"\w+"))
    assert page.evaluate(INK) > 1.5 * resting, "the meter does not show the voice"
    expect(page.locator("#heard-text")).to_have_text(HEARD)
    expect(button).to_have_attribute("aria-pressed", "false")

    (record,) = records(server, page, Transport.STREAM)
    expect(page.locator("#heard-text")).to_have_text(record.text)
    expect(page.locator("#announcer")).to_have_text(re.compile(f"^{record.text}. .*result"))
    cards = page.locator("#cards .card")
    expect(cards).to_have_count(len(record.results))
    expect(cards.first.locator(".title")).to_have_text("latte")
    expect(cards.first.locator(".asked")).to_have_text("large · two sugars")
    cards.first.click()
    expect(cards.first).to_have_attribute("aria-pressed", "true")
    assert event(page, server, record.query_id, EventType.CLICK).item_id == record.results[0]


def test_each_word_says_how_sure_it_is(answered: Page) -> None:
    """Every word has its percentage as a tooltip; the unsure ones are named in words beside the whole's."""
    words = answered.locator("#heard-text .word")
    assert " ".join(words.all_inner_texts()) == answered.locator("#heard-text").inner_text()
    note = answered.locator("#heard-note").inner_text()
    assert re.match(r"\d+ % sure", note)
    for word in words.all():
        match = re.fullmatch(r"(\d+) % sure", word.get_attribute("data-sure") or "")
        assert match
        marked = (word.get_attribute("class") or "") != "word"
        assert marked == (f"“{word.inner_text()}” ({match[1]} %)" in note)
        assert marked == (int(match[1]) < 75)


def test_one_tap_corrects_what_was_heard(answered: Page, server: Running) -> None:
    """A word that is tapped is selected in the field; what is sent is searched, and told as typed instead."""
    answered.locator(".word").nth(2).click()
    field = answered.get_by_role("textbox", name="Your query, typed")
    expect(field).to_be_focused()
    expect(field).to_have_value(HEARD)
    answered.keyboard.type("espresso")
    answered.keyboard.press("Enter")
    corrected = "a large espresso with two sugars please"
    expect(answered.locator("#heard-text")).to_have_text(corrected)
    expect(answered.locator("#heard-note")).to_have_text("As you typed it")
    expect(answered.locator("#results-title")).to_be_focused()
    (spoken,) = records(server, answered, Transport.STREAM)
    (typed,) = records(server, answered, Transport.TEXT)
    assert event(answered, server, spoken.query_id, EventType.TYPED).text == corrected

    card = answered.locator("#cards .card").first
    expect(card.locator(".title")).to_have_text("espresso")
    card.click()
    assert event(answered, server, typed.query_id, EventType.CLICK).item_id == typed.results[0]


def test_said_again_and_dismissed(answered: Page, server: Running) -> None:
    """ "Say it again" tells a redo of the first query and listens; "Dismiss" tells so of the second, and forgets."""
    answered.get_by_role("button", name="Say it again").click()
    expect(answered.locator("#hint")).to_have_text(re.compile("Listening"))
    expect(answered.locator("#heard-text")).to_be_visible()
    first, second = records(server, answered, Transport.STREAM)
    assert first.text == second.text
    event(answered, server, first.query_id, EventType.REDO)

    answered.get_by_role("button", name="Dismiss").click()
    event(answered, server, second.query_id, EventType.DISMISS)
    expect(answered.get_by_role("button", name="Speak")).to_be_focused()
    expect(answered.locator("#results")).to_be_hidden()


def test_what_is_done_about_silence_is_told(visit: Callable[..., Page], server: Running) -> None:
    """Of a query without text, too: trying again is a redo, and typing instead the text that it had meant."""
    page = visit(server.base_url)
    button = page.get_by_role("button", name="Speak")
    for again in (button, page.get_by_role("button", name="Try again")):
        again.click()
        expect(page.locator("#hint")).to_contain_text("Listening")
        button.click()
        expect(page.get_by_text("I heard nothing", exact=True)).to_be_visible()
    first, second = records(server, page, Transport.STREAM)
    event(page, server, first.query_id, EventType.REDO)
    field = page.get_by_role("textbox", name="Your query, typed")
    field.fill("espresso")
    field.press("Enter")
    assert event(page, server, second.query_id, EventType.TYPED).text == "espresso"


def test_a_browser_that_does_not_resample_is_heard_alike(visit: Callable[..., Page], server: Running) -> None:
    """Where the context must have the microphone's 48 kHz, our own filter makes the 16 kHz: the same text."""
    page = visit(server.base_url, SAMPLE, script=NO_RATE_CONVERSION)
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#heard-text")).to_have_text(HEARD)


def test_an_event_survives_a_busy_server(answered: Page, server: Running, complaints: list[str]) -> None:
    """A 503 is tried again with the same event id: the service has the event once."""
    refused: list[str] = []

    def once(route: sync_api.Route) -> None:
        if refused:
            route.fallback()
        else:
            refused.append(route.request.post_data_json["event_id"])
            route.fulfill(status=503, json={})

    answered.route("**/v1/events", once)
    answered.locator("#cards .card").first.click()
    (record,) = records(server, answered, Transport.STREAM)
    assert event(answered, server, record.query_id, EventType.CLICK).event_id.endswith(refused[0])
    assert len([said for said in complaints if "503" in said]) == len(complaints) == 1
    complaints.clear()
