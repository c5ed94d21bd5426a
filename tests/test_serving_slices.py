"""What a client says of itself becomes a slice, or nothing."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from serving.slices import device, locale


def connection(**headers: str) -> HTTPConnection:
    """A request with these headers."""
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw})


@pytest.mark.parametrize("said", ["kitchen-speaker", "Android 3.2", "a" * 32, "pixel/9+"])
def test_a_kind_of_device_is_kept(said: str) -> None:
    """As the client says it."""
    assert device(connection(x_device=said)) == said


@pytest.mark.parametrize("said", ["", " ", "-", "a" * 33, "<script>", "tab\tbed", "caf\xe9"])
def test_what_is_no_kind_of_device_is_nothing(said: str) -> None:
    """Too long, or not of plain letters: not kept, and no error."""
    assert device(connection(x_device=said)) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("en-GB,en;q=0.8", "en-GB"),
        ("de", "de"),
        ("zh-Hant-TW;q=1", "zh-Hant-TW"),
        ("*", None),
        ("", None),
        ("x", None),
    ],
)
def test_the_first_language_is_the_locale(said: str, meant: str | None) -> None:
    """Of a list by preference; anything goes for nobody."""
    assert locale(connection(accept_language=said)) == meant
