"""Real Chromium, with a WAV for a microphone. Nothing may appear in its console: no error, no refused source."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import soxr

from asr import audio
from asr.transcript import SAMPLE_RATE_HZ

if TYPE_CHECKING:  # it needs the extra ``test``
    from playwright.sync_api import Browser, Page, Playwright

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
MICROPHONE_HZ = 48_000  # what microphones have
BEFORE_S, BEHIND_S = 0.5, 2.0  # of silence
PATIENCE_MS = 60_000


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | None], Path]:
    """A sample as a microphone hears it: ``spoken("coffee_order.flac") -> WAV``; None is a silent room."""
    folder = tmp_path_factory.mktemp("microphone")

    def wav(sample: str | None) -> Path:
        path = folder / f"{sample}.wav"
        if not path.exists():
            heard = np.zeros(0, np.float32) if sample is None else audio.decode(SAMPLES / sample)
            quiet = [np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32) for seconds in (BEFORE_S, BEHIND_S)]
            clip = np.concatenate([quiet[0], heard, quiet[1]])
            at_rate = soxr.resample(clip, SAMPLE_RATE_HZ, MICROPHONE_HZ)
            soundfile.write(path, at_rate, MICROPHONE_HZ, subtype="PCM_16")
        return path

    return wav


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """The driver. Not for the whole session: while it runs, no test could run an event loop of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def silent(playwright: Playwright) -> Iterator[Browser]:
    """A browser without a microphone, for pages that need none: it takes a second to start."""
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser's console said. A test that brings an error about takes it out of here."""
    said: list[str] = []
    yield said
    assert said == []


@pytest.fixture
def visit(
    request: pytest.FixtureRequest,
    playwright: Playwright,
    spoken: Callable[[str | None], Path],
    complaints: list[str],
) -> Iterator[Callable[..., Page]]:
    """Opens the page in a fresh browser: ``visit(address, "taxi.ogg", allowed=False, color_scheme="dark")``.

    With ``shared=True`` in a fresh profile of the module's `silent` browser.
    """
    with ExitStack() as stack:

        def opened(
            address: str,
            sample: str | None = None,
            *,
            allowed: bool = True,
            flags: tuple[str, ...] = (),
            script: str = "",
            shared: bool = False,
            **context: Any,
        ) -> Page:
            microphone = (
                "--use-fake-ui-for-media-stream" + ("" if allowed else "=deny"),
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={spoken(sample)}%noloop",
            )
            if shared:
                browser: Browser = request.getfixturevalue("silent")
            else:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=[*flags, *microphone]
                )
                stack.callback(browser.close)
            profile = browser.new_context(**context)
            stack.callback(profile.close)
            page = profile.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text) if message.type in ("error", "warning") else None
                ),
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            if script:
                page.add_init_script(script)
            page.goto(address)
            return page

        yield opened
