"""The page at /monitor in a real browser: what it shows, that it stays fresh, and that everyone can use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("serving_app", reason="needs the extra serve")
pytest.importorskip("scipy", reason="needs the extra monitor")
from monitor_traffic import Traffic, count, requests
from playwright.sync_api import expect

from monitoring.drift.judge import judge
from monitoring.drift.profile import Profile
from monitoring.record import Record
from monitoring.storage.journal import Entry, Kind
from serving.keys import KeyStore, Scope

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from serving_app import Running

MEASURE = (Path(__file__).parent / "measure.js").read_text("utf-8")
READABLE = 4.5  # WCAG 2.2, 1.4.3
NEW, OLD = "en-small@7be1d044", "en-small@2f9c01ab"
HOUR = timedelta(hours=1)
SCREENS = [(width, scheme) for width in (360, 1280) for scheme in ("light", "dark")]


def fill(serving: Running) -> datetime:
    """Eight hours of traffic, in the last of which people are quieter; an alarm, and drift. Until when."""
    now = datetime.now(UTC)
    traffic = Traffic(
        now - 8 * HOUR, now, 3.0, OLD, newer=NEW, since_new=now - 4 * HOUR, since_quiet=now - HOUR
    )
    store = serving.app.state.services.store
    count(store, traffic)
    reference = Profile.freeze(
        sittings(replace(traffic, since_quiet=None, seed=2)), "default", now - 8 * HOUR
    )
    report = judge(reference, sittings(replace(traffic, since=now - HOUR)), [("level_dbfs",)])
    store.note(
        [
            Entry(now - 6 * HOUR, "redo-rate-high", Kind.BASELINE, "The band moved by +0.21 points."),
            Entry(
                now - HOUR / 3,
                "input-drift",
                Kind.DRIFT,
                "Data drift: inputs moved: level_dbfs.",
                report.as_dict(),
            ),
            fired(now - HOUR / 2),
        ]
    )
    return now


def fired(at: datetime) -> Entry:
    """An alarm."""
    return Entry(at, "null-rate-high", Kind.FIRED, "14 % of 170 clips came out empty.")


def sittings(traffic: Traffic) -> list[Record]:
    """Each request one of its own."""
    return [replace(record, session=record.request_id) for record, _ in requests(traffic)]


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with that traffic."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    from serving_app import running

    url = f"sqlite:///{tmp_path_factory.mktemp('monitored') / 'events.sqlite3'}"
    with running(store=url, catalogs=()) as serving:
        fill(serving)
        yield serving


@pytest.fixture
def monitor(visit: Callable[..., Page]) -> Callable[..., Page]:
    """Opens the page and waits for the numbers: ``monitor(serving, "?since=1h", viewport=...)``."""

    def opened(serving: Running, query: str = "", **options: Any) -> Page:
        page = visit(f"{serving.base_url}/monitor{query}", shared=True, **options)
        expect(page.locator("body")).to_have_attribute("data-state", "shown")
        return page

    return opened


def drawn(page: Page) -> list[bool]:
    """Of each chart that is to be seen, whether its canvas has more than one colour."""
    found: list[bool] = page.evaluate("""
      [...document.querySelectorAll("canvas")].filter((canvas) => canvas.checkVisibility()).map((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size > 4;
      })""")
    return found


def test_what_it_shows(monitor: Callable[..., Page], monitored: Running) -> None:
    """Numbers, all charts, the alarm in words, drift with its histograms, both models; no other host is asked."""
    asked: list[str] = []
    page = monitor(monitored, script="")
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.locator(".tile")).to_have_count(6)
    expect(page.locator(".tile", has_text="Came out empty").locator("strong")).to_have_text(
        re.compile(r"^\d+(\.\d)? %$")
    )
    expect(page.locator(".alarm")).to_contain_text("14 % of 170 clips came out empty.")
    expect(page.locator("#active")).to_contain_text("People speak and get no text")
    expect(page.locator(".feature").first).to_contain_text("changed")
    expect(page.locator(".feature", has_text="Level").locator("rect.part1").first).to_be_attached()
    expect(page.locator("#drift-verdicts")).to_contain_text("Data drift: inputs moved: Level.")
    expect(page.locator("#version-list tbody tr")).to_have_count(2)
    expect(page.locator("#changes")).to_contain_text("The band moved by +0.21 points.")
    charts = drawn(page)
    assert len(charts) > 25
    assert all(charts)
    assert page.title() == "(1) voicesearch: monitor"
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{monitored.port}"}
    assert any(url.endswith("/static/vendor/uplot/uPlot.esm.js") for url in asked)


def test_another_stretch_and_another_model(monitor: Callable[..., Page], monitored: Running) -> None:
    """Chosen above, kept in the address, and back again with the browser's own button."""
    page = monitor(monitored)
    requests_before = page.locator(".tile").first.locator(".note").text_content()
    page.locator("#model").select_option(OLD)
    expect(page.locator(".tile").first.locator(".note")).not_to_have_text(requests_before or "")
    page.get_by_text("1 h", exact=True).click()
    assert "since=1h" in page.url
    assert "model=en-small" in page.url
    expect(page.get_by_role("heading", name="No traffic yet")).to_be_visible()  # it served hours ago
    page.go_back()
    page.go_back()
    expect(page.locator(".tile").first.locator(".note")).to_have_text(requests_before or "")
    expect(page.get_by_role("radio", name="24 h")).to_be_checked()


def test_a_stretch_of_ones_own(monitor: Callable[..., Page], monitored: Running) -> None:
    """By its two times; by dragging over a chart."""
    page = monitor(monitored)
    page.get_by_text("Custom").click()
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("until="))
    before = page.url
    plot = page.locator("#traffic .u-over")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 50, steps=4)
    page.mouse.up()
    expect(page).not_to_have_url(before)
    expect(page.get_by_role("radio", name="Custom")).to_be_checked()


def test_a_new_alarm_appears_by_itself(
    visit: Callable[..., Page],
    start_server: Callable[..., Running],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An empty server says so; when traffic and an alarm come, both are shown, and the alarm is said aloud."""
    monkeypatch.setattr("serving.answers.FRESH_S", 0.0)  # its answers would stay for five seconds
    serving = start_server(store=f"sqlite:///{tmp_path / 'events.sqlite3'}", catalogs=())
    page = visit(f"{serving.base_url}/monitor", script=QUICK)
    expect(page.get_by_role("heading", name="No traffic yet")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("about 3 minutes later")
    expect(page.locator("#drift-verdicts")).to_contain_text("No window has been compared")
    expect(page.locator(".tile")).to_have_count(0)
    now, store = datetime.now(UTC), serving.app.state.services.store
    count(store, Traffic(now - HOUR / 2, now, 3.0))
    store.note([fired(now)])
    expect(page.locator(".alarm")).to_contain_text("14 % of 170 clips")
    expect(page.locator("#announcer")).to_contain_text("People speak and get no text")
    expect(page.locator(".tile")).to_have_count(6)
    page.close()  # before the server, which it would miss


# Timers of the page run twenty times as fast.
QUICK = "const real = setTimeout; window.setTimeout = (job, ms, ...more) => real(job, ms / 20, ...more);"


# Long timers of the page are put aside, and run when the test says so.
BY_HAND = """
  const set = setTimeout, clear = clearTimeout;
  const planned = new Map();
  let count = 0;
  window.setTimeout = (job, ms, ...more) => {
    if (ms < 10_000) return set(job, ms, ...more);
    planned.set(--count, job);
    return count;
  };
  window.clearTimeout = (id) => planned.delete(id) || clear(id);
  window.planned = planned;
  window.passTime = () => [...planned].forEach(([id, job]) => planned.delete(id) && job());
"""


def test_it_asks_for_what_changed_and_not_in_a_hidden_tab(
    monitor: Callable[..., Page], monitored: Running
) -> None:
    """With the tag of the last answer; while hidden or paused not at all; at once when it is seen again."""
    page = monitor(monitored, "?since=2026-01-01&until=2026-01-02", script=BY_HAND)

    def settle() -> None:
        """Wait until all three answers have come: then the next round is planned, and not before."""
        page.wait_for_function("() => planned.size === 1")

    def numbers(answer: Any) -> bool:
        return "/monitor/data" in answer.url

    settle()
    with page.expect_response(numbers) as again:
        page.evaluate("passTime()")
    assert again.value.status == 304
    settle()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#status")).to_contain_text("Paused")
    page.evaluate("passTime()")
    assert page.evaluate("planned.size") == 0
    assert asked == []
    with page.expect_response(numbers):
        page.get_by_role("button", name="Pause").click()
    settle()
    asked.clear()
    page.evaluate("""
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
      passTime()""")
    assert page.evaluate("planned.size") == 0
    assert asked == []
    with page.expect_response(numbers):
        page.evaluate("""
          Object.defineProperty(document, "hidden", { value: false });
          document.dispatchEvent(new Event("visibilitychange"))""")


def test_when_the_server_goes_away(
    monitor: Callable[..., Page], monitored: Running, complaints: list[str]
) -> None:
    """What is shown stays, and says of when it is; when the server is back, so is the page."""
    page = monitor(monitored, script=QUICK)
    page.context.set_offline(True)
    expect(page.locator("#status")).to_contain_text("The server does not answer. What you see is from")
    expect(page.locator(".tile")).to_have_count(6)
    page.context.set_offline(False)
    expect(page.locator("#status")).to_contain_text("Live")
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in complaints)
    complaints.clear()


def test_with_keys(
    visit: Callable[..., Page], start_server: Callable[..., Running], tmp_path: Path, complaints: list[str]
) -> None:
    """Without a key it asks for one; with one of another scope it says which it needs; with the right one it shows."""
    store = KeyStore(tmp_path / "keys.db")
    review, search = (
        store.create(scope.value, frozenset({scope}), None).secret for scope in (Scope.REVIEW, Scope.SEARCH)
    )
    page = visit(f"{start_server(keys=store.path, catalogs=()).base_url}/monitor")
    expect(page.get_by_role("heading", name="This page needs a key")).to_be_visible()
    for key, heading in ((search, "This key may not see this"), (review, "No traffic yet")):
        page.get_by_role("button", name="Enter a key").click()
        page.get_by_role("textbox", name="API key").fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.close()
    assert all(re.search("status of 40[13]", each) for each in complaints)
    complaints.clear()


def test_by_keyboard(monitor: Callable[..., Page], monitored: Running) -> None:
    """Straight to the numbers; stretches by arrow keys; a chart tells each point, all others follow; a table opens."""
    page = monitor(monitored)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the numbers")).to_be_focused()
    page.get_by_role("radio", name="24 h").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="7 d")).to_be_checked()
    expect(page).to_have_url(re.compile("since=7d"))
    chart = page.get_by_role("img", name=re.compile("^Time to the answer. latest: 99 %"))
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(page.locator("#announcer")).to_have_text(
        re.compile(r"99 % [\d.]+ ms, 95 % [\d.]+ ms, half [\d.]+ ms")
    )
    moments = set(page.locator(".when").all_text_contents())
    assert len(moments) == 1, f"all charts tell the same time: {moments}"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Time to the answer").locator("tbody tr")).not_to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_everything_can_be_read(
    monitor: Callable[..., Page], monitored: Running, width: int, scheme: str
) -> None:
    """Contrast of every text, light and dark; nothing sticks out to the side of a phone; every chart drawn."""
    page = monitor(monitored, color_scheme=scheme, viewport={"width": width, "height": 740})
    expect(page.locator(".feature").first).to_be_visible()
    for summary in page.locator("summary:visible").all()[:3]:
        summary.click()
    found = page.evaluate(MEASURE)
    assert [text for text in found["texts"] if text["contrast"] < READABLE] == []
    assert found["overflow"] == 0
    assert all(drawn(page))


def test_light_becomes_dark(monitor: Callable[..., Page], monitored: Running) -> None:
    """The charts are drawn anew in the other colours."""
    page = monitor(monitored, color_scheme="light")
    pixels = 'document.querySelector("#traffic canvas").toDataURL()'
    light = page.evaluate(pixels)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => {pixels} !== light", arg=light)
    assert all(drawn(page))


def test_from_one_page_to_the_other(visit: Callable[..., Page], monitored: Running) -> None:
    """From the foot of the search page, and back."""
    page = visit(monitored.base_url)
    page.get_by_role("link", name="Monitor").click()
    expect(page.get_by_role("heading", name="Monitor", level=1)).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-state", "shown")
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_role("heading", name="What are you looking for?")).to_be_visible()
