"""resample.js, as the browser runs it, on tones: what speech needs passes, what would fold back does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from serving_app import Running

TO_HZ = 16_000
RUN = """async ({samples, from, to, piece}) => {
  const { Resampler } = await import("/static/resample.js");
  const resampler = new Resampler(from, to);
  const out = [];
  for (let at = 0; at < samples.length; at += piece) {
    out.push(...resampler.push(Float32Array.from(samples.slice(at, at + piece))));
  }
  return out;
}"""


@pytest.fixture(scope="module")
def tone() -> Callable[[float, int], NDArray[np.float32]]:
    """Half a second: ``tone(hz, rate_hz)``."""
    return lambda hz, rate: np.sin(2 * np.pi * hz * np.arange(rate // 2) / rate).astype(np.float32)


@pytest.fixture
def resampled(visit: Callable[..., Page], server: Running) -> Callable[..., NDArray[np.float32]]:
    """``resampled(samples, from_hz, piece=128)``, at 16 kHz."""
    page = visit(server.base_url)

    def run(samples: NDArray[np.float32], from_hz: int, piece: int = 128) -> NDArray[np.float32]:
        given = {"samples": samples.tolist(), "from": from_hz, "to": TO_HZ, "piece": piece}
        return np.asarray(page.evaluate(RUN, given), np.float32)

    return run


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_place_and_its_level(
    resampled: Callable[..., NDArray[np.float32]], tone: Callable[..., NDArray[np.float32]], rate: int
) -> None:
    """1 kHz comes out as 1 kHz, in phase and within 0.1 % of its level, away from the edges."""
    out = resampled(tone(1_000, rate), rate)
    want = tone(1_000, TO_HZ)[: len(out)]
    assert abs(len(out) - TO_HZ // 2) < 0.01 * TO_HZ
    assert np.abs(out - want)[400:-400].max() < 1e-3


@pytest.mark.parametrize("hz", [8_100, 9_000, 12_000, 20_000])
def test_what_would_fold_back_is_gone(
    resampled: Callable[..., NDArray[np.float32]], tone: Callable[..., NDArray[np.float32]], hz: int
) -> None:
    """A tone above 8 kHz, which 16 kHz cannot hold, is at least 60 dB down."""
    assert np.abs(resampled(tone(hz, 48_000), 48_000))[400:-400].max() < 1e-3


def test_the_highest_of_speech_passes(
    resampled: Callable[..., NDArray[np.float32]], tone: Callable[..., NDArray[np.float32]]
) -> None:
    """7 kHz, where an s is, loses less than 0.1 dB."""
    assert np.abs(resampled(tone(7_000, 48_000), 48_000))[400:-400].max() == pytest.approx(1.0, abs=0.012)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_cut_does_not_matter(resampled: Callable[..., NDArray[np.float32]], rate: int) -> None:
    """Pieces of 1, 128 and 4096 samples give the same, sample for sample."""
    noise = np.random.default_rng(7).normal(0, 0.1, 6_000).astype(np.float32)
    whole = resampled(noise, rate, 6_000)
    for piece in (1, 128, 4_096):
        assert np.array_equal(resampled(noise, rate, piece), whole)
