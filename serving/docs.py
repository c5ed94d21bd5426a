"""``/docs``: Swagger UI over the OpenAPI document, every file from here. FastAPI's page fetches them elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, Response

from serving.errors import NotFoundError

router = APIRouter(include_in_schema=False)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>voicesearch: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true});\n"
FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


@router.get("/docs")
async def page() -> HTMLResponse:
    """The page."""
    return HTMLResponse(PAGE)


@router.get("/docs/{name}")
def file(name: Annotated[str, Path(max_length=64)]) -> Response:
    """One of its files. Raises NotFoundError."""
    if name == "start.js":
        return Response(START, media_type="text/javascript")
    if name not in FILES:
        raise NotFoundError("There is no such file; the API's description is at /docs.")
    content = (resources.files("swagger_ui") / "static" / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "public, max-age=86400"})
