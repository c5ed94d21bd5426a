"""``serving.auth`` over real HTTP and WebSockets: who is let in, and that nobody else is (acceptance.md P6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import openai
import pytest
import websockets
import websockets.sync.client
from fastapi import Depends, FastAPI, Request, WebSocket

from serving import auth, problems
from serving.auth import Access, Principal, check_exposure, is_loopback, require, subprotocol
from serving.errors import ExposureError
from serving.keys import KeyStore, Scope

DAY_S = 86_400


def app_with(access: Access, origins: tuple[str, ...] = ()) -> FastAPI:
    """A route a scope, and a stream, that say who called."""
    app = FastAPI()
    problems.install(app)
    auth.install(app, access, origins)

    def said(principal: Principal) -> dict[str, object]:
        return {"key_id": principal.key_id, "scopes": sorted(principal.scopes)}

    for scope in Scope:

        @app.post(f"/{scope}", dependencies=[Depends(require(scope))])
        async def route(request: Request) -> dict[str, object]:
            return said(request.state.principal)

    @app.get("/v1/models")
    async def models(
        principal: Annotated[Principal, Depends(require(Scope.TRANSCRIBE))],
    ) -> dict[str, object]:
        assert principal
        return {"object": "list", "data": []}

    @app.get("/page")
    async def page() -> str:
        return "no key needed"

    @app.websocket("/stream")
    async def stream(
        websocket: WebSocket, principal: Annotated[Principal, Depends(require(Scope.TRANSCRIBE))]
    ) -> None:
        await websocket.accept(subprotocol(websocket))
        await websocket.send_json(said(principal))
        await websocket.close()

    return app


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """A file with one key in it already, so that keys are asked for."""
    store = KeyStore(tmp_path / "keys.db")
    store.create("first", frozenset({Scope.ADMIN}), DAY_S)
    return store


@pytest.fixture
def guarded(serve: Callable[..., str], store: KeyStore) -> str:
    """Address of a server that asks for keys, also on loopback."""
    return serve(app_with(Access.decide(store.path, "127.0.0.1", insecure=False)))


@pytest.fixture
def local(serve: Callable[..., str]) -> str:
    """Address of a server on loopback without keys."""
    return serve(app_with(Access.decide(None, "127.0.0.1", insecure=False)))


def post(address: str, *, key: str | None = None, **headers: str) -> httpx.Response:
    """A POST with a key and other headers."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        given["Authorization"] = f"Bearer {key}"
    return httpx.post(address, headers=given)


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
def test_a_key_opens_what_it_is_for_and_nothing_else(guarded: str, store: KeyStore, scope: Scope) -> None:
    """Each scope by itself; the others are 403, which names what is missing."""
    issued = store.create("client", frozenset({scope}), DAY_S)
    statuses = {other: post(f"{guarded}/{other}", key=issued.secret).status_code for other in Scope}
    assert statuses == {other: 200 if other is scope else 403 for other in Scope}
    assert post(f"{guarded}/{scope}", key=issued.secret).json() == {
        "key_id": issued.key.id,
        "scopes": [scope.value],
    }
    error = post(f"{guarded}/admin", key=issued.secret).json()["error"]
    assert error["code"] == "insufficient_permissions"
    assert error["message"] == f"This API key lacks the scope admin; it has {scope.value}."


def test_admin_opens_everything(guarded: str, store: KeyStore) -> None:
    """One key for an operator."""
    issued = store.create("operator", frozenset({Scope.ADMIN}), DAY_S)
    assert {post(f"{guarded}/{scope}", key=issued.secret).status_code for scope in Scope} == {200}


def test_no_key(guarded: str) -> None:
    """401, and how to say who one is."""
    answer = post(f"{guarded}/transcribe")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "missing_api_key"


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ,",
        "Basic dXNlcjpwYXNz",
        "vs_nothing",
        "Bearer vs_nothing",
        "Bearer \xff\xfe",
        "Bearer a b",
    ],
)
def test_malformed_authorisation(guarded: str, value: str) -> None:
    """401, whatever is in the header; never a 500."""
    answer = httpx.post(f"{guarded}/transcribe", headers=[(b"Authorization", value.encode("latin-1"))])
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_two_keys_in_one_request(guarded: str, store: KeyStore) -> None:
    """Refused, as something between here and the client could have been told another one."""
    secret = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    headers = [("Authorization", f"Bearer {secret}"), ("Authorization", "Bearer vs_other")]
    assert httpx.post(f"{guarded}/transcribe", headers=headers).status_code == 401


def test_key_in_the_address_is_no_key(guarded: str, store: KeyStore) -> None:
    """Addresses end up in logs and histories: a key there is not even looked at."""
    secret = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    for name in ("key", "api_key", "access_token"):
        assert httpx.post(f"{guarded}/transcribe", params={name: secret}).status_code == 401


def test_expired_and_revoked(guarded: str, store: KeyStore) -> None:
    """401 with a code of its own: only who has the secret learns it."""
    revoked = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S)
    store.revoke(revoked.key.id)
    assert post(f"{guarded}/transcribe", key=revoked.secret).json()["error"]["code"] == "revoked_api_key"
    expired = KeyStore(store.path, clock=lambda: 0.0).create("old", frozenset({Scope.TRANSCRIBE}), DAY_S)
    answer = post(f"{guarded}/transcribe", key=expired.secret)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "expired_api_key")


def test_the_keys_file_vanishes(guarded: str, store: KeyStore) -> None:
    """The server closes, it does not open; where the file was is not told."""
    secret = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    store.path.unlink()
    answer = post(f"{guarded}/transcribe", key=secret)
    assert answer.status_code == 500
    assert str(store.path) not in answer.text


def test_openai_client_with_and_without_a_good_key(guarded: str, store: KeyStore) -> None:
    """The real client, as people use it."""
    secret = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    with openai.OpenAI(api_key=secret, base_url=f"{guarded}/v1", max_retries=0) as client:
        assert client.models.list().data == []
    with (
        openai.OpenAI(api_key="sk-wrong", base_url=f"{guarded}/v1", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def streamed(address: str, **options: object) -> tuple[str | None, dict[str, object]]:
    """The subprotocol that a stream was accepted with, and who it says has called."""
    address = address.replace("http", "ws") + "/stream"
    with websockets.sync.client.connect(address, **options) as stream:  # type: ignore[arg-type]  # the library's own
        return stream.subprotocol, json.loads(stream.recv())


def test_stream_with_the_key_in_a_header_or_a_subprotocol(guarded: str, store: KeyStore) -> None:
    """Programs set the header; browsers cannot, and get ``voicesearch`` back, never the key."""
    issued = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S)
    header = streamed(guarded, additional_headers={"Authorization": f"Bearer {issued.secret}"})
    assert (header[0], header[1]["key_id"]) == (None, issued.key.id)
    browser = streamed(guarded, subprotocols=["voicesearch", f"key.{issued.secret}"])
    assert (browser[0], browser[1]["key_id"]) == ("voicesearch", issued.key.id)


@pytest.mark.parametrize(
    "subprotocols", [None, ["voicesearch"], ["voicesearch", "key.vs_wrong"], ["voicesearch", "key."]]
)
def test_stream_without_a_good_key(guarded: str, subprotocols: list[str] | None) -> None:
    """Denied with 401 before it is accepted."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        streamed(guarded, subprotocols=subprotocols)
    assert caught.value.response.status_code == 401


def test_stream_with_the_wrong_scope(guarded: str, store: KeyStore) -> None:
    """Denied with 403."""
    secret = store.create("client", frozenset({Scope.SEARCH}), DAY_S).secret
    with pytest.raises(websockets.InvalidStatus) as caught:
        streamed(guarded, additional_headers={"Authorization": f"Bearer {secret}"})
    assert caught.value.response.status_code == 403


def test_local_server_lets_anybody_do_everything_but_administer(local: str) -> None:
    """No set-up for who tries it out; a key that nobody checks does no harm: OpenAI's client always sends one."""
    answer = post(f"{local}/transcribe", key="whatever")
    assert answer.json() == {"key_id": None, "scopes": ["events", "review", "search", "transcribe"]}
    assert post(f"{local}/admin").status_code == 403
    assert streamed(local)[1]["key_id"] is None


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.7:8000", 403),
        ("0.0.0.0:8000", 403),
        ("user@localhost", 403),
        ("localhost:port", 403),
        ("", 403),
    ],
)
def test_rebound_names_are_refused(local: str, host: str, status: int) -> None:
    """A page whose name was pointed to 127.0.0.1 sends its own name as Host; reading is refused, too."""
    assert httpx.get(f"{local}/page", headers={"Host": host}).status_code == status
    assert post(f"{local}/transcribe", Host=host).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("{here}", 200),
        ("http://127.0.0.1:1", 403),
        ("http://localhost:{port}", 403),
        ("https://127.0.0.1:{port}/", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("file://", 403),
        ("", 403),
        ("https://shop.example", 403),
    ],
)
def test_pages_of_others_are_refused(local: str, origin: str, status: int) -> None:
    """A page elsewhere can post a form to localhost, or open a stream: its Origin gives it away."""
    origin = origin.format(here=local, port=local.rsplit(":", 1)[1])
    assert post(f"{local}/transcribe", Origin=origin).status_code == status
    if status == 200:
        assert streamed(local, origin=origin)[1]["key_id"] is None
        return
    with pytest.raises(websockets.InvalidStatus) as caught:
        streamed(local, additional_headers={"Origin": origin})
    assert caught.value.response.status_code == 403


def test_an_origin_that_the_operator_allows(serve: Callable[..., str]) -> None:
    """That one, and no other."""
    address = serve(app_with(Access(None, local=True), ("https://shop.example",)))
    assert post(f"{address}/transcribe", Origin="https://shop.example").status_code == 200
    assert post(f"{address}/transcribe", Origin="http://shop.example").status_code == 403


def test_insecure_server_takes_any_name_and_no_foreign_page(serve: Callable[..., str]) -> None:
    """Its names are not known here; that a page is not its own is."""
    address = serve(app_with(Access.decide(None, "0.0.0.0", insecure=True)))
    assert post(f"{address}/transcribe", Host="speech.lan").status_code == 200
    assert post(f"{address}/transcribe", Host="speech.lan", Origin="http://speech.lan").status_code == 200
    assert post(f"{address}/transcribe", Host="speech.lan", Origin="http://evil.example").status_code == 403
    assert post(f"{address}/admin", Host="speech.lan").status_code == 403


def test_with_keys_names_and_origins_do_not_matter(guarded: str, store: KeyStore) -> None:
    """A foreign page has no key, so there is nothing to guard; behind a proxy the names are others."""
    secret = store.create("client", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    answer = post(f"{guarded}/transcribe", key=secret, Host="speech.example", Origin="https://speech.example")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.0.1", False),
        ("::ffff:192.168.0.1", False),
        ("localhost.localdomain", False),
        ("speech.example", False),
    ],
)
def test_exposure(host: str, loopback: bool) -> None:
    """Loopback always; any other address with keys, or where the operator insists."""
    assert is_loopback(host) is loopback
    check_exposure(host, has_keys=True, insecure=False)
    check_exposure(host, has_keys=False, insecure=True)
    if loopback:
        check_exposure(host, has_keys=False, insecure=False)
        return
    with pytest.raises(ExposureError, match=r"voicesearch keys create .* 127\.0\.0\.1.* --insecure"):
        check_exposure(host, has_keys=False, insecure=False)


def test_a_keys_file_that_was_named_and_is_not_there(tmp_path: Path) -> None:
    """A typing error does not open the server, not even on loopback or with --insecure."""
    with pytest.raises(ExposureError, match="no file of API keys"):
        Access.decide(tmp_path / "typo.db", "127.0.0.1", insecure=True)


def test_a_keys_file_with_no_active_key_still_asks_for_one(
    serve: Callable[..., str], store: KeyStore
) -> None:
    """When the last key is revoked, nobody gets in."""
    (key,) = store.keys()
    store.revoke(key.id)
    address = serve(app_with(Access.decide(store.path, "0.0.0.0", insecure=False)))
    assert post(f"{address}/transcribe").status_code == 401


def test_openapi_says_how_to_send_a_key(store: KeyStore) -> None:
    """The document has the scheme, and names it at each route that wants one."""
    document = app_with(Access(store, local=False)).openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/transcribe"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/page"]["get"]
