"""``asr.download`` against a server that breaks off, changes its mind, and lies."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from file_server import CONTENT, Handler, Server, certify, rest, serving, status, whole

from asr import download, http_get
from asr.download import Wanted, downloaded
from asr.errors import BundleDigestError, BundleError, DownloadError, OptionError
from asr.part_file import KEPT_S, forget_old, locked

OTHER = CONTENT[::-1]
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That the servers over TLS have."""
    return certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Makes servers of plain http."""
    with serving() as make:
        yield make


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Makes servers; those over TLS are believed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(certificate) as make:
        yield make


def fetch(
    server: Server,
    folder: Path,
    sha256: str | None = DIGEST,
    size: int | None = None,
    *,
    query: str = "",
    pauses: list[float] | None = None,
) -> bytes:
    """The whole file's bytes; pauses are noted, not made."""
    wanted = Wanted(server.url + query, LIMIT, sha256, size)
    with downloaded(wanted, folder, pause=([] if pauses is None else pauses).append) as path:
        return path.read_bytes()


def test_a_file_comes_and_nothing_is_left(serve: Callable[..., Server], tmp_path: Path) -> None:
    """After the block the folder is gone, too."""
    folder = tmp_path / "downloads"
    assert fetch(serve(whole()), folder) == CONTENT
    assert not folder.exists()


def test_a_broken_connection_goes_on_at_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Twice in one run; the rest is asked for by range and version, and progress never goes back."""
    server = serve(
        whole(upto=100_000, ETag='"v1"'),
        rest(upto=300_000, ETag='"v1"'),
        rest(ETag='"v1"'),
    )
    seen: list[tuple[int, int | None]] = []
    wanted = Wanted(server.url, LIMIT, DIGEST)
    with downloaded(wanted, tmp_path, lambda *at: seen.append(at), lambda _: None) as path:
        assert path.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=100000-", "bytes=300000-"]
    assert [headers.get("If-Range") for headers in server.asked] == [None, '"v1"', '"v1"']
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_later_run_goes_on(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A server that is gone leaves what came, and the message says how much."""
    server = serve(whole(upto=200_000, ETag='"v1"'), status(503))
    with pytest.raises(DownloadError, match=r"HTTP Error 503"):
        fetch(server, tmp_path)
    server.replies[:] = [rest(ETag='"v1"')]
    assert fetch(server, tmp_path) == CONTENT
    assert server.ranges()[-1] == "bytes=200000-"


def test_a_server_that_breaks_off_for_good_is_given_up(serve: Callable[..., Server], tmp_path: Path) -> None:
    """After three requests that bring nothing, at longer and longer intervals; what came before is kept."""
    server = serve(whole(upto=100_000, ETag='"v1"'), rest(upto=0, ETag='"v1"'))
    pauses: list[float] = []
    with pytest.raises(DownloadError, match=r"100000 of 512000 bytes came .* goes on there"):
        fetch(server, tmp_path, pauses=pauses)
    assert pauses == [1.0, 2.0, 4.0]
    assert len(server.asked) == 1 + download.IDLE_TRIES
    server.replies[:] = [rest(ETag='"v1"')]
    assert fetch(server, tmp_path) == CONTENT


def test_a_reset_connection_goes_on(serve: Callable[..., Server], tmp_path: Path) -> None:
    """As one that was closed; where the reset overtook all of the bytes, the next run begins anew."""

    def crash(handler: Handler) -> None:
        whole(upto=150_000, ETag='"v1"')(handler)
        handler.wfile.flush()
        handler.reset()

    def answer(handler: Handler) -> None:
        (rest if "Range" in handler.headers else whole)(ETag='"v1"')(handler)

    server = serve(crash, answer)
    with suppress(DownloadError):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path) == CONTENT


def test_a_file_that_changed_between_tries_comes_whole(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The server answers If-Range with 200 and the new version; nothing of the old one is in it."""
    server = serve(whole(OTHER, upto=100_000, ETag='"v1"'), whole(ETag='"v2"'))
    assert fetch(server, tmp_path, sha256=DIGEST) == CONTENT
    assert server.asked[1]["If-Range"] == '"v1"'


@pytest.mark.parametrize(
    "wrong",
    [
        {"ETag": '"v2"'},
        {"ETag": '"v1"', "Content-Range": "bytes 5-511999/512000"},
        {"ETag": '"v1"', "Content-Range": "bytes 100000-511999/777777"},
        {"ETag": '"v1"', "Content-Range": "rubbish"},
    ],
)
def test_a_part_of_something_else_is_not_joined(
    serve: Callable[..., Server], tmp_path: Path, wrong: dict[str, str]
) -> None:
    """206 of another version, place or length, from a server that ignores If-Range: all is asked for again."""
    server = serve(whole(OTHER, upto=100_000, ETag='"v1"'), rest(**wrong), whole(ETag='"v2"'))
    assert fetch(server, tmp_path) == CONTENT
    assert server.ranges() == [None, "bytes=100000-", None]


def test_a_server_without_ranges_sends_all_again(serve: Callable[..., Server], tmp_path: Path) -> None:
    """200 in answer to a range: what was kept is put aside, not doubled."""
    server = serve(whole(upto=100_000, ETag='"v1"'), whole(ETag='"v1"'))
    assert fetch(server, tmp_path) == CONTENT


def test_a_weak_etag_is_no_version(serve: Callable[..., Server], tmp_path: Path) -> None:
    """It promises no equal bytes: the date is named instead."""
    date = "Sat, 21 Nov 2026 10:00:00 GMT"
    server = serve(whole(upto=10, ETag='W/"v1"', Last_Modified=date), rest(Last_Modified=date))
    assert fetch(server, tmp_path) == CONTENT
    assert server.asked[1]["If-Range"] == date


def test_without_a_version_only_a_digest_lets_it_go_on(serve: Callable[..., Server], tmp_path: Path) -> None:
    """With one, mixed bytes are found in the end, and thrown away."""
    server = serve(whole(OTHER, upto=100_000), rest())
    with pytest.raises(BundleDigestError, match="was thrown away"):
        fetch(server, tmp_path / "downloads")
    assert not (tmp_path / "downloads").exists()
    server = serve(whole(upto=100_000), rest())
    assert fetch(server, tmp_path) == CONTENT


def test_a_length_that_promises_too_much_is_found(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The file ends before: the server says so with 416, and again after all of it was asked for anew."""
    lie = {"Content_Length": "600000", "ETag": '"v1"'}
    server = serve(whole(**lie), status(416, Content_Range="bytes */512000"))
    assert fetch(server, tmp_path) == CONTENT  # what we have is all that there is
    server = serve(whole(**lie), status(416, Content_Range="bytes */1"), whole(**lie), status(416))
    with pytest.raises(DownloadError, match="HTTP Error 416"):
        fetch(server, tmp_path)


def test_a_length_that_promises_too_little_is_found(serve: Callable[..., Server], tmp_path: Path) -> None:
    """By the digest over the whole."""
    server = serve(whole(Content_Length="1000"))
    with pytest.raises(BundleDigestError, match=f"{DIGEST} was expected"):
        fetch(server, tmp_path)


def test_416_for_a_whole_file_ends_the_download(serve: Callable[..., Server], tmp_path: Path) -> None:
    """All had come when the run was killed: nothing is fetched again."""
    server = serve(whole(ETag='"v1"'), status(416, Content_Range=f"bytes */{len(CONTENT)}"))
    with (
        pytest.raises(KeyboardInterrupt),
        downloaded(Wanted(server.url, LIMIT, DIGEST), tmp_path),
    ):
        raise KeyboardInterrupt
    assert fetch(server, tmp_path) == CONTENT
    assert server.ranges() == [None, f"bytes={len(CONTENT)}-"]


def test_redirects_are_followed_with_the_range(serve: Callable[..., Server], tmp_path: Path) -> None:
    """As stores with signed addresses do: the address asked is always the first."""
    store = serve(whole(upto=100_000, ETag='"v1"'), rest(ETag='"v1"'))
    server = serve(status(302, Location=store.url))
    assert fetch(server, tmp_path) == CONTENT
    assert store.ranges() == [None, "bytes=100000-"]
    assert store.asked[1]["If-Range"] == '"v1"'
    assert len(server.asked) == 2


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_redirects_lead_to_the_web_only(serve: Callable[..., Server], tmp_path: Path, target: str) -> None:
    """Not to files of this machine, and not by ftp, even where a digest would tell."""
    with pytest.raises((DownloadError, OptionError), match=r"is not allowed|is not https"):
        fetch(serve(status(302, Location=target)), tmp_path)


def test_without_a_digest_every_hop_is_https(secure: Callable[..., Server], tmp_path: Path) -> None:
    """https to https comes; through plain http it does not, though it leads back; the plain one is not even asked."""
    store = secure(whole(), tls=True)
    assert fetch(secure(status(302, Location=store.url), tls=True), tmp_path, sha256=None) == CONTENT
    between = secure(status(302, Location=store.url))
    first = secure(status(302, Location=between.url), tls=True)
    with pytest.raises(
        OptionError, match=r"^https://.* leads to http://.*, which is not https; give its --sha256"
    ):
        fetch(first, tmp_path, sha256=None)
    assert between.asked == []
    assert fetch(first, tmp_path) == CONTENT  # its digest tells


def test_a_text_is_believed_from_https_all_the_way(secure: Callable[..., Server]) -> None:
    """Plain http of this machine is as good where it is named, not where https leads to it."""
    plain = secure(whole(b"said"))
    assert http_get.text(secure(status(302, Location=plain.url)).url, 10) == "said"
    assert http_get.text(secure(whole(b"said"), tls=True).url, 10) == "said"
    away = secure(status(302, Location=plain.url), tls=True)
    with pytest.raises(OptionError, match=r"leads to http://127\.0\.0\.1:\d+/model\.zip, which is not https"):
        http_get.text(away.url, 10)
    with pytest.raises(OptionError, match=r"leads to http://models\.example/x, which is not https"):
        http_get.text(secure(status(302, Location="http://models.example/x")).url, 10)


def test_too_large_a_file_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    """By what the server says, or by what comes."""
    endless = b"0" * (LIMIT + 1)
    with pytest.raises(BundleError, match="is larger than 1000000 bytes"):
        fetch(serve(whole(endless, upto=0)), tmp_path)

    def nameless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(endless)

    with pytest.raises(BundleError, match="is larger than 1000000 bytes"):
        fetch(serve(nameless), tmp_path / "downloads")
    assert not (tmp_path / "downloads").exists()


def test_another_size_than_the_index_says_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    """At the first header."""
    with pytest.raises(BundleError, match="has 512000 bytes; 512001 were expected"):
        fetch(serve(whole()), tmp_path, size=512_001)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/model.zip"
        with (
            pytest.raises(
                DownloadError, match=r"127\.0\.0\.1 cannot be reached .* bring the file by other means"
            ),
            downloaded(Wanted(url, LIMIT, DIGEST), tmp_path / "downloads"),
        ):
            raise AssertionError("nothing can have come")
    assert not (tmp_path / "downloads").exists()


def test_one_download_of_a_file_at_a_time(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A second process would write into the same part."""
    server = serve(whole())
    wanted = Wanted(server.url, LIMIT, DIGEST)
    with (
        downloaded(wanted, tmp_path),
        pytest.raises(OptionError, match="is being downloaded already"),
        downloaded(wanted, tmp_path),
    ):
        raise AssertionError("two at once")


def test_a_signature_is_told_nobody(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Neither by the note, which only its owner reads, nor by any message."""
    server = serve(whole(upto=100_000, ETag='"v1"'), rest(upto=0, ETag='"v1"'))
    refusing = serve(status(403))
    cases: list[tuple[Server, dict[str, Any]]] = [
        (server, {}),  # breaks off
        (refusing, {}),
        (serve(whole()), {"size": 1}),
        (serve(whole()), {"sha256": "0" * 64}),
        (serve(status(302, Location="ftp://127.0.0.1/x?sig=secret")), {}),
    ]
    for asked, options in cases:
        with pytest.raises((DownloadError, BundleError, OptionError)) as raised:
            fetch(asked, tmp_path, query="?sig=secret", **options)
        assert "secret" not in str(raised.value)
        assert "/model.zip" in str(raised.value)
        for note in tmp_path.glob("*.json"):
            assert "secret" not in note.read_text(encoding="utf-8")
            assert note.stat().st_mode & 0o777 == 0o600


def test_another_signature_goes_on(serve: Callable[..., Server], tmp_path: Path) -> None:
    """What has a digest is known by it, however its address was signed."""
    server = serve(whole(upto=100_000, ETag='"v1"'), status(403))
    with pytest.raises(DownloadError, match="403"):
        fetch(server, tmp_path, query="?sig=1")
    server.replies[:] = [rest(ETag='"v1"')]
    assert fetch(server, tmp_path, query="?sig=2") == CONTENT
    assert server.ranges()[-1] == "bytes=100000-"


def test_what_nobody_went_on_with_is_forgotten(serve: Callable[..., Server], tmp_path: Path) -> None:
    """After a fortnight, with its note, at the next download; what somebody is fetching stays, whatever its age."""
    with pytest.raises(DownloadError):
        fetch(serve(whole(upto=100_000, ETag='"v1"'), status(503)), tmp_path)
    (tmp_path / "gone.json").write_text("{}")
    left = sorted(tmp_path.iterdir())
    assert len(left) == 3
    forget_old(tmp_path, time.time() + KEPT_S - 60.0)
    assert sorted(tmp_path.iterdir()) == left
    for path in left:
        os.utime(path, (0, 0))
    (part,) = tmp_path.glob("*.part")
    with locked(part, "it"):
        forget_old(tmp_path)
        assert sorted(tmp_path.iterdir()) == [path for path in left if path.stem == part.stem]
    with pytest.raises(DownloadError):
        fetch(serve(status(503)), tmp_path, sha256="0" * 64)
    assert not part.exists()
    assert not list(tmp_path.glob("*.json"))


def test_without_locks_files_come_too(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, which has no fcntl."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr("asr.part_file.sys", SimpleNamespace(platform="win32"))
    assert fetch(serve(whole()), tmp_path / "downloads") == CONTENT
    assert not (tmp_path / "downloads").exists()


@pytest.mark.parametrize("digits", ["\u00b2", "9" * 5_000, "-1", "1e3", ""])
def test_a_length_that_is_no_number_is_none(digits: str) -> None:
    """Superscripts are digits to Python, and no numbers; more digits than any file has bytes are refused by it."""
    said = Message()
    said["Content-Length"] = digits
    said["Content-Range"] = f"bytes 0-{digits}/{digits}"
    assert http_get.length(said) is None
    assert http_get.part(said) == http_get.Part(None, None)


def test_a_damaged_note_begins_anew(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Nothing is known of the bytes beside it."""
    server = serve(whole(upto=100_000, ETag='"v1"'), status(503))
    with pytest.raises(DownloadError):
        fetch(server, tmp_path)
    (note,) = tmp_path.glob("*.json")
    note.write_text("{", encoding="utf-8")
    server.replies[:] = [whole()]
    assert fetch(server, tmp_path) == CONTENT
    assert server.ranges()[-1] is None
