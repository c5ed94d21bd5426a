"""``GET /v1/models`` through the real ``openai`` client."""

from __future__ import annotations

from collections.abc import Callable

import pytest

openai = pytest.importorskip("openai", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import Running  # noqa: E402  # after the skips


def test_the_list_has_every_name_that_a_request_may_use(start_server: Callable[..., Running]) -> None:
    """Its own, the aliases, and the one with the digest: all the same model."""
    serving = start_server(catalogs=(), model_aliases=("whisper-1",))
    identity = serving.app.state.services.model
    listed = serving.openai().models.list().data
    assert [one.id for one in listed] == ["en-small", "whisper-1", identity]
    assert {(one.object, one.owned_by, one.identity, one.language) for one in listed} == {
        ("model", "voicesearch", identity, "en")
    }
    assert [serving.openai().models.retrieve(one.id) for one in listed] == listed


@pytest.mark.parametrize(
    "name", ["whisper-1", "..", "../../etc/passwd", "en-small/bundle.json", "%2e%2e%2f", "ø"]
)
def test_any_other_name_is_not_found(server: Running, name: str) -> None:
    """A path is a name like any other that is not there."""
    with pytest.raises(openai.NotFoundError) as caught:
        server.openai().get(f"/models/{name}", cast_to=object)
    assert caught.value.code in ("model_not_found", "not_found")  # the client resolves some paths by itself
    assert "passwd" not in caught.value.message.replace(repr(name), "")
