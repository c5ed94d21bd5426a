"""The headers of ``serving.headers`` in a real browser: what the page needs works, and what it must not do does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from fastapi import FastAPI, Response, WebSocket
from playwright.sync_api import sync_playwright
from starlette.middleware.cors import CORSMiddleware

from serving import headers

FILES = {
    "/": (
        "text/html",
        '<!doctype html><link rel="stylesheet" href="/style.css"><p id="text">text</p>'
        "<script>document.title = 'inline'</script><p onclick=\"document.title = 'handler'\">click</p>"
        '<img src="ELSEWHERE/pixel.png"><script type="module" src="/page.js"></script>',
    ),
    "/style.css": ("text/css", "#text { color: rgb(1, 2, 3) }"),
    "/text.js": ("text/javascript", "export const loaded = 'module'"),
    "/worklet.js": (
        "text/javascript",
        "registerProcessor('tap', class extends AudioWorkletProcessor { process() { return true } })",
    ),
    "/page.js": (
        "text/javascript",
        """import {loaded} from '/text.js'
        window.done = (async () => {
            const context = new OfflineAudioContext(1, 128, 16000)
            await context.audioWorklet.addModule('/worklet.js')
            const node = new AudioWorkletNode(context, 'tap')
            const said = await new Promise((resolve, reject) => {
                const stream = new WebSocket(`ws://${location.host}/v1/stream`, ['voicesearch'])
                stream.onmessage = (event) => resolve(event.data)
                stream.onerror = reject
            })
            const elsewhere = await fetch('ELSEWHERE/').then(() => 'sent', () => 'refused')
            const worklet = node instanceof AudioWorkletNode
            const microphone = document.featurePolicy.allowsFeature('microphone')
            const camera = document.featurePolicy.allowsFeature('camera')
            return {loaded, worklet, said, elsewhere, microphone, camera}
        })()""",
    ),
}


def other_site() -> FastAPI:
    """Would answer everybody, and does not mind being asked."""
    made = FastAPI()
    made.add_middleware(CORSMiddleware, allow_origins=["*"])

    @made.get("/{path:path}")
    async def file() -> Response:
        return Response(headers={"Cross-Origin-Resource-Policy": "cross-origin"})

    return made


def app(elsewhere: str) -> FastAPI:
    """A page of files, and a stream."""
    made = FastAPI()
    headers.install(made)

    @made.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept("voicesearch")
        await websocket.send_text("heard")
        await websocket.close()

    @made.get("/{path:path}")
    async def file(path: str) -> Response:
        media_type, text = FILES.get(f"/{path}", ("text/plain", ""))
        return Response(text.replace("ELSEWHERE", elsewhere), media_type=media_type)

    return made


def test_the_page_works_and_nothing_else_does(serve: Callable[..., str]) -> None:
    """Modules, style, worklet, stream and microphone; no inline script, no camera, nothing from elsewhere."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    address = serve(app(elsewhere=serve(other_site())))
    left: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("response", lambda answer: left.append(answer.url))
        page.goto(address)
        did = page.evaluate("window.done")
        page.click("text=click")
        colour = page.evaluate("getComputedStyle(document.querySelector('#text')).color")
        title = page.title()
        browser.close()
    assert did == {
        "loaded": "module",
        "worklet": True,
        "said": "heard",
        "elsewhere": "refused",
        "microphone": True,
        "camera": False,
    }
    assert (colour, title) == ("rgb(1, 2, 3)", "")
    assert all(url.startswith(address) for url in left)
