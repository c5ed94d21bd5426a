"""``serving.rates``: seconds of audio per key, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import RateLimitedError
from serving.problems import problem
from serving.rates import Allowance, RateLimit, RateLimiter

LIMIT = RateLimit(capacity_s=60.0, refill_per_s=0.5, minimum_s=1.0, max_keys=3)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Starts anywhere: it is monotonic, not a time of day."""
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    """A minute at once, half a second a second."""
    return RateLimiter(LIMIT, clock)


def test_a_key_spends_its_bucket_and_waits_for_more(limiter: RateLimiter, clock: Clock) -> None:
    """Exactly the time that is stated, and not a moment less."""
    for _ in range(6):
        limiter.charge("a", 10.0)
    with pytest.raises(RateLimitedError) as caught:
        limiter.charge("a", 10.0)
    assert caught.value.retry_after_s == 20.0
    clock.now += 19.9
    with pytest.raises(RateLimitedError):
        limiter.charge("a", 10.0)
    clock.now += 0.1
    limiter.charge("a", 10.0)
    assert limiter.allowance("a").remaining_s == 0.0


def test_what_was_refused_costs_nothing(limiter: RateLimiter) -> None:
    """Asking again and again does not push the end away."""
    limiter.charge("a", 60.0)
    for _ in range(5):
        with pytest.raises(RateLimitedError) as caught:
            limiter.charge("a", 2.0)
        assert caught.value.retry_after_s == 4.0


def test_keys_do_not_share(limiter: RateLimiter) -> None:
    """One that is spent takes nothing from another; a server without keys has one bucket for all."""
    limiter.charge("a", 60.0)
    limiter.charge("b", 60.0)
    limiter.charge(None, 60.0)
    with pytest.raises(RateLimitedError):
        limiter.charge(None, 1.0)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0])
def test_the_shortest_clip_costs_the_minimum(limiter: RateLimiter, seconds: float) -> None:
    """A thousand clips of 50 ms are a thousand decodes."""
    limiter.charge("a", seconds)
    assert limiter.allowance("a").remaining_s == 59.0


def test_a_clip_longer_than_the_bucket_is_possible_once_it_is_full(
    limiter: RateLimiter, clock: Clock
) -> None:
    """It is paid in arrears, so that the rate over a long time holds."""
    limiter.charge("a", 90.0)
    assert limiter.allowance("a").remaining_s == -30.0
    with pytest.raises(RateLimitedError) as caught:
        limiter.charge("a", 90.0)
    assert caught.value.retry_after_s == 180.0
    clock.now += 180.0
    limiter.charge("a", 90.0)


def test_admission_before_the_body_is_read(limiter: RateLimiter) -> None:
    """Who has nothing left is refused without having been charged, and before an upload."""
    limiter.admit("a")
    limiter.charge("a", 59.5)
    with pytest.raises(RateLimitedError):
        limiter.admit("a")
    assert limiter.allowance("a").remaining_s == 0.5


def test_buckets_are_bounded_and_the_longest_unseen_goes(limiter: RateLimiter) -> None:
    """A server asked by ever new keys does not grow."""
    for key in "abcadea":
        limiter.charge(key, 10.0)
        assert len(limiter) <= LIMIT.max_keys
    assert limiter.allowance("a").remaining_s == 30.0
    assert limiter.allowance("b").remaining_s == 60.0


@given(st.lists(st.tuples(st.floats(0.0, 200.0), st.floats(0.0, 120.0)), max_size=60))
def test_over_any_time_no_key_exceeds_its_rate(calls: list[tuple[float, float]]) -> None:
    """What was let through is at most a full bucket, what has come back, and one clip of debt."""
    clock = Clock()
    limiter = RateLimiter(LIMIT, clock)
    passed = longest = 0.0
    for wait_s, seconds in calls:
        clock.now += wait_s
        try:
            limiter.charge("a", seconds)
        except RateLimitedError:
            continue
        passed += max(seconds, LIMIT.minimum_s)
        longest = max(longest, seconds)
        gained = (clock.now - 1_000.0) * LIMIT.refill_per_s
        assert passed <= LIMIT.capacity_s + gained + max(0.0, longest - LIMIT.capacity_s) + 1e-6


@given(st.floats(1.0, 300.0), st.floats(1.0, 300.0))
def test_after_the_time_told_the_same_request_passes(first: float, second: float) -> None:
    """Retry-After is neither a lie nor a guess."""
    clock = Clock()
    limiter = RateLimiter(LIMIT, clock)
    limiter.charge("a", first)
    try:
        limiter.charge("a", second)
    except RateLimitedError as error:
        clock.now += (error.retry_after_s or 0.0) + 1e-6
        limiter.charge("a", second)


def test_headers_are_in_openais_manner(limiter: RateLimiter) -> None:
    """Whole seconds of audio; the time until the bucket is full as ``6m0s``; on the refusal as well."""
    limiter.charge("a", 59.0)
    assert limiter.allowance("a").headers() == {
        "x-ratelimit-limit-audio-seconds": "60",
        "x-ratelimit-remaining-audio-seconds": "1",
        "x-ratelimit-reset-audio-seconds": "1m58s",
    }
    with pytest.raises(RateLimitedError) as caught:
        limiter.charge("a", 10.0)
    told = problem(caught.value)
    assert (
        told.status,
        told.headers["Retry-After"],
        told.headers["x-ratelimit-remaining-audio-seconds"],
    ) == (
        429,
        "18",
        "1",
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0s"), (0.2, "1s"), (59.0, "59s"), (360.0, "6m0s")])
def test_spans(seconds: float, text: str) -> None:
    """Rounded up: a client that waits for it has what it waits for."""
    assert Allowance(1.0, 1.0, seconds).headers()["x-ratelimit-reset-audio-seconds"] == text
