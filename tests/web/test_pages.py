"""What serves the page: every file, with the right type, and nothing else."""

from __future__ import annotations

import hashlib
import posixpath
import re
from importlib import resources

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving import headers, pages, problems

WEB = resources.files("serving") / "web"
PAGES = ("index.html", "monitor/index.html")
VIEW = (WEB / "view.js").read_text("utf-8")


@pytest.fixture
def client() -> TestClient:
    """The page alone, with the service's headers and errors."""
    app = FastAPI()
    app.include_router(pages.router)
    problems.install(app)
    headers.install(app, ())
    return TestClient(app)


def test_the_front_is_html_under_the_content_policy(client: TestClient) -> None:
    """``/`` answers the page, with the policy that forbids inline code."""
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.content == (WEB / "index.html").read_bytes()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", sorted(pages.files()))
def test_every_file_is_served_as_it_lies_there(client: TestClient, name: str) -> None:
    """Bytes and media type; a browser runs no module of another type."""
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.content == (WEB / name).read_bytes()
    assert answer.headers["Content-Type"].startswith(pages.MEDIA_TYPES["." + name.rsplit(".")[-1]])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_browser_that_has_a_file_is_told_so(client: TestClient) -> None:
    """The tag that came with a file brings 304 without a body, also weak, in a list, or as ``*``; another does not."""
    tag = client.get("/static/main.js").headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = client.get("/static/main.js", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert answer.headers["Cache-Control"] == "no-cache"
    assert client.get("/static/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_answers_without_a_body(client: TestClient) -> None:
    """HEAD has the length and no body."""
    answer = client.head("/")
    assert answer.content == b""
    assert answer.headers["Content-Length"] == str(len((WEB / "index.html").read_bytes()))


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/",
        "/static/../pages.py",
        "/static/..%2fpages.py",
        "/static/%2e%2e%2fpages.py",
        "/static/..%5cpages.py",
        "/static/%2fetc%2fpasswd",
        "/static/web/main.js",
        "/static/main.js%00.css",
    ],
)
def test_nothing_else_is_there(client: TestClient, path: str) -> None:
    """A path that is no name of a file is 404 in the service's form, whatever it climbs to."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_the_pages_refer_to_exists() -> None:
    """Every import and every address in HTML and JavaScript names a file of the folder."""
    for name, file in pages.files().items():
        text = file.content.decode()
        wanted = set(re.findall(r'"/static/([\w./-]+)"', text))
        beside = re.findall(r'(?:from |import\()"(\.[\w./-]+)"', text)
        wanted |= {posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in beside}
        assert wanted <= set(pages.files()), name


def test_nothing_is_asked_of_another_site() -> None:
    """No address with a scheme, but for the names of XML's vocabularies. What is vendored cites pages in comments."""
    for name, file in pages.files().items():
        if name.startswith("vendor/"):
            continue
        text = file.content.decode().replace("http://www.w3.org/2000/svg", "")
        text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
        assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", text) == [], name


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("uPlot.esm.js", "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba"),
        ("uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
        ("LICENSE.txt", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
    ],
)
def test_what_is_vendored_is_as_it_was_published(name: str, digest: str) -> None:
    """uPlot 1.6.32, byte for byte, with its licence."""
    assert hashlib.sha256(pages.files()[f"vendor/uplot/{name}"].content).hexdigest() == digest


@pytest.mark.parametrize("page", PAGES)
def test_nothing_stands_inline(page: str) -> None:
    """No script, style or handler inside the HTML: the content policy would refuse it."""
    text = (WEB / page).read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique_and_found(page: str) -> None:
    """No id twice in the HTML, and every one that its modules, a label or an icon names is there."""
    text = (WEB / page).read_text("utf-8")
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    named = re.findall(r'(?:href="#|for="|aria-(?:labelledby|describedby)=")([^"]+)"', text)
    for name in modules(page):
        code = pages.files()[name].content.decode()
        named += re.findall(r'(?<!function )\bat\("([^"]+)"\)', code)
    if page == "monitor/index.html":  # what it takes from the other page's `view.js` it does not call
        named = [each for each in named if each not in re.findall(r'\bat\("([^"]+)"\)', VIEW)]
    assert set(named) <= set(ids)


def modules(page: str) -> set[str]:
    """All modules that a page loads, through imports."""
    left = re.findall(r'<script type="module" src="/static/([^"]+)"', (WEB / page).read_text("utf-8"))
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            beside = re.findall(r'(?:from |import\()"(\.[^"]+)"', pages.files()[name].content.decode())
            left += [posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in beside]
    return seen
