"""What serves the page: every file, with the right type, and nothing else."""

from __future__ import annotations

import re
from importlib import resources

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving import headers, pages, problems

WEB = resources.files("serving") / "web"


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


def test_what_the_page_refers_to_exists() -> None:
    """Every import and every address in HTML and JavaScript names a file of the folder."""
    for name, file in pages.files().items():
        text = file.content.decode()
        wanted = re.findall(r'"(?:\./|/static/)([\w.-]+)"', text)
        assert set(wanted) <= set(pages.files()), name


def test_nothing_is_asked_of_another_site() -> None:
    """No address with a scheme, but for the names of XML's vocabularies."""
    for name, file in pages.files().items():
        text = file.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert (
            re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", re.sub(r"^\s*//.*$", "", text, flags=re.M)) == []
        ), name


def test_nothing_stands_inline() -> None:
    """No script, style or handler inside the HTML: the content policy would refuse it."""
    text = (WEB / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []


def test_ids_are_unique_and_found() -> None:
    """No id twice in the HTML, and every one that a module, a label or an icon names is there."""
    text = (WEB / "index.html").read_text("utf-8")
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    named = re.findall(r'(?:href="#|for="|aria-(?:labelledby|describedby)=")([^"]+)"', text)
    for name, file in pages.files().items():
        if name.endswith(".js"):
            named += re.findall(r'\bat\("([^"]+)"\)', file.content.decode())
    assert set(named) <= set(ids)
