"""The page at ``/``, and the files of every page: ``serving/web`` as it lies there; no build step, nothing from
elsewhere.

They are read once, when the first is asked for. A request's path is only looked up among their names: no path of a
request is ever opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.errors import NotFoundError

router = APIRouter(include_in_schema=False)

FRONT = "index.html"
MEDIA_TYPES = MappingProxyType(
    {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",  # licences of what is vendored
    }
)
# Names do not change with contents, so a browser asks each time, and is mostly told that it has the file already.
CACHE_CONTROL = "no-cache"


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file, with what a browser is told of it."""

    content: bytes
    media_type: str
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or 304 for a browser that has it. RFC 9110, 13.1.2: the comparison is weak, ``*`` is any."""
        headers = {"Cache-Control": CACHE_CONTROL, "ETag": self.etag}
        known = {
            tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
        }
        if known & {self.etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


@cache
def files() -> Mapping[str, WebFile]:
    """Every file of the pages, by its name below the folder: ``main.js``, ``monitor/main.js``."""
    return MappingProxyType(dict(_below(resources.files("serving") / "web", "")))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, WebFile]]:
    for path in folder.iterdir():
        name = prefix + path.name
        if path.is_dir():
            yield from _below(path, f"{name}/")
        else:
            yield name, _read(name, path.read_bytes())


def _read(name: str, content: bytes) -> WebFile:
    suffix = name[name.rindex(".") :]
    assert suffix in MEDIA_TYPES, f"serving/web/{name}: no media type is known for {suffix}"
    return WebFile(content, MEDIA_TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@router.api_route("/", methods=["GET", "HEAD"])
async def front(request: Request) -> Response:
    """The page itself."""
    return files()[FRONT].response(request)


@router.api_route("/static/{name:path}", methods=["GET", "HEAD"])
async def static(request: Request, name: str) -> Response:
    """What the page is made of. Raises NotFoundError."""
    if name not in files():
        raise NotFoundError("There is no such file; the page is at /.")
    return files()[name].response(request)
