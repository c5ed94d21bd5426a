"""The page for everyone: by keyboard, by screen reader, on a small screen, in the dark, without motion."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("serving_app", reason="needs the extra serve")
expect = sync_api.expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from serving_app import Running

SAMPLE = "coffee_order.flac"
MEASURE = (Path(__file__).parent / "measure.js").read_text("utf-8")
READABLE = 4.5  # WCAG 2.2, 1.4.3: contrast of text
OUTLINE = 3.0  # 1.4.11: of a control's outline
TARGET_PX = 24  # 2.5.8: smallest size of what is pressed
SCREENS = [
    pytest.param(width, scheme, id=f"{width}-{scheme}")
    for width in (360, 1280)
    for scheme in ("light", "dark")
]


def focused(page: Page) -> str:
    """Id or class of the element with the focus."""
    name = page.evaluate("document.activeElement.id || document.activeElement.className || 'body'")
    assert isinstance(name, str)
    return name


def measure(page: Page) -> dict[str, Any]:
    """The page at rest, as `measure.js` finds it."""
    page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
    measured: dict[str, Any] = page.evaluate(MEASURE)
    return measured


def check(page: Page) -> None:
    """Everything that is to be seen now can be read and pressed, and nothing sticks out to the side."""
    found = measure(page)
    assert found["texts"], "no text was measured"
    assert [text for text in found["texts"] if text["contrast"] < READABLE] == []
    assert [each for each in found["controls"] if (each["outline"] or OUTLINE) < OUTLINE] == []
    small = [each for each in found["controls"] if min(each["width"], each["height"]) < TARGET_PX]
    assert [
        each["id"] for each in small if each["id"] not in ("SUMMARY", "key-open")
    ] == []  # in lines of text
    assert found["overflow"] == 0


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_every_state_can_be_read(
    visit: Callable[..., Page], server: Running, width: int, scheme: str
) -> None:
    """Contrast, sizes and width in every state, light and dark, on a phone and a desk."""
    page = visit(server.base_url, SAMPLE, color_scheme=scheme, viewport={"width": width, "height": 740})
    check(page)
    page.locator("summary").click()
    check(page)
    page.get_by_role("button", name="Speak").click()
    understood(page)
    check(page)
    expect(page.locator("#heard-text")).to_be_visible()
    page.locator("#cards .card").first.click()
    check(page)
    page.get_by_role("button", name="Correct it").click()
    check(page)
    page.get_by_role("textbox", name="Your query, typed").fill("zzyzx qqqq")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing in the catalogue is like that")).to_be_visible()
    check(page)
    page.get_by_role("button", name="API key").click()
    check(page)


def understood(page: Page) -> None:
    """Three words are on the page. On a busy machine a partial stands for a moment only, or the final comes first."""
    page.wait_for_function(
        "() => ['#partial', '#heard-text'].some((id) => /\\w+ \\w+ \\w+/.test(document.querySelector(id).textContent))"
    )


def test_everything_by_keyboard(visit: Callable[..., Page], server: Running) -> None:
    """Hold the space bar to speak; tab to a result and choose it; correct with Enter; leave the field with Escape."""
    page = visit(server.base_url, SAMPLE)
    page.keyboard.down("Space")
    understood(page)
    page.keyboard.up("Space")
    expect(page.locator("#heard-text")).to_have_text(re.compile("large"))  # as far as it was held

    order = []
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(focused(page))
    assert order == ["microphone", "correct", "again", "dismiss"]

    page.locator("#correct").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "typed"
    page.keyboard.press("Escape")
    assert focused(page) == "correct"
    page.keyboard.press("Enter")
    page.keyboard.type("latte")
    page.keyboard.press("Enter")
    expect(page.locator("#results-title")).to_be_focused()
    page.keyboard.press("Tab")
    assert focused(page) == "card"
    page.keyboard.press("Space")  # chooses; it does not listen
    expect(page.locator("#cards .card").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#announcer")).to_have_text("Chosen: latte")


def test_the_button_by_keyboard(visit: Callable[..., Page], server: Running) -> None:
    """Enter begins and ends; Escape cancels: nothing is sent, and the page is as it was."""
    page = visit(server.base_url)
    page.keyboard.press("Tab")
    assert focused(page) == "microphone"
    button = page.get_by_role("button", name="Speak")
    before = len(server.records())
    page.keyboard.press("Enter")
    expect(page.locator("#hint")).to_contain_text("Listening")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("heading", name="What are you looking for?")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("Cancelled")
    page.keyboard.press("Enter")
    expect(page.locator("#hint")).to_contain_text("Listening")
    page.keyboard.press("Enter")
    expect(page.locator("#notice-title")).to_have_text("I heard nothing")
    assert [record.query_id for record in server.records()[before:] if record.query_id] != []


def test_the_button_can_be_held(visit: Callable[..., Page], server: Running) -> None:
    """Held with the pointer, the end of the press is the end of the query."""
    page = visit(server.base_url, SAMPLE)
    page.get_by_role("button", name="Speak").hover()
    page.mouse.down()
    understood(page)
    page.mouse.up()
    expect(page.locator("#heard-text")).to_have_text(re.compile("large"))


def test_roles_and_names(visit: Callable[..., Page], server: Running) -> None:
    """What a screen reader finds: landmarks, one heading, named controls, one polite region."""
    page = visit(server.base_url)
    expect(page.locator("body")).to_match_aria_snapshot("""
- banner: voicesearch
- main:
  - heading "What are you looking for?" [level=1]
  - region "Speak":
    - button "Speak"
    - paragraph: Click and speak, or hold the space bar
  - region "Your query":
    - search "Type your query":
      - textbox "Your query, typed"
      - button "Search"
- contentinfo:
  - navigation "Elsewhere":
    - link "Monitor"
    - button "API key"
- status
""")
    expect(page.get_by_role("button", name="Speak")).to_have_accessible_description(
        "Click and speak, or hold the space bar"
    )
    assert page.locator("[aria-live]").count() == 1


def test_partials_are_not_read_out(visit: Callable[..., Page], server: Running) -> None:
    """While the microphone is open, a screen reader says one word: it would hear itself. Then it has the whole."""
    page = visit(server.base_url, SAMPLE)
    page.evaluate("""
      window.said = [];
      const region = document.querySelector("#announcer");
      const note = () => region.textContent && said.push(region.textContent);
      new MutationObserver(note).observe(region, { childList: true });
    """)
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#announcer")).to_have_text(re.compile("^a large"))
    said = page.evaluate("said")
    assert said[0] == "Listening"
    assert len(said) == 2


def test_without_motion(visit: Callable[..., Page], server: Running) -> None:
    """Where less motion is asked for, nothing is animated but the level, which is all around alike."""
    page = visit(server.base_url, SAMPLE, reduced_motion="reduce")
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#heard-text")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
