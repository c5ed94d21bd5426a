"""The OpenAPI document is true: schemathesis makes requests from it, good and bad, and judges every answer.

It is run as people run it, over HTTP, with all of its checks but one: that whatever fits the schema is accepted. No
schema can say that a file is audio and a language the model's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

pytest.importorskip("schemathesis", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import SAMPLES, Running  # after the skips

from monitoring.record import Outcome
from serving.keys import KeyStore, Scope

EXAMPLES = 30  # of each operation and kind

# Left to itself nearly every request would end at the name of the model. Only what is a string already is replaced, so
# that what is wrong on purpose stays wrong.
HOOKS = f"""
import itertools
from pathlib import Path

import schemathesis
from schemathesis.transport.serialization import Binary

whole = [Path({str(SAMPLES)!r}, name).read_bytes() for name in ("play_jazz.wav", "silence.wav", "taxi.ogg")]
clips = itertools.cycle([*whole, whole[0][:2000]])


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("model"), str) and isinstance(body.get("file"), Binary):
        body = {{**body, "model": "en-small", "file": Binary(next(clips))}}
        body.pop("languages[]", None)
        if isinstance(body.get("language"), str):
            body["language"] = "English"
    return body
"""


def test_every_answer_is_documented(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """No server error, no status, header, media type or body that the document does not promise; keys are asked for."""
    store = KeyStore(tmp_path / "keys.db")
    key = store.create("schemathesis", frozenset(Scope), None).secret
    serving = start_server(keys=store.path, audio_s_per_minute=1e6)
    (tmp_path / "clips.py").write_text(HOOKS)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{serving.base_url}/openapi.json"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
        *("--header", f"Authorization: Bearer {key}"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "clips", "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print(run.stdout[-3000:])
    assert run.returncode == 0, run.stdout + run.stderr
    outcomes = Counter(record.outcome for record in serving.records())
    assert outcomes[Outcome.OK] > 0, f"no request reached the model: {outcomes}"
    assert {record.status for record in serving.records()} >= {200, 400, 415}


def test_every_reference_leads_somewhere(server: Running) -> None:
    """Also those inside schemas that routes bring by themselves."""
    document = httpx.get(f"{server.base_url}/openapi.json").text
    named = set(re.findall(r'"\$ref": ?"#/([^"]+)"', document))
    assert named
    for path in named:
        at = json.loads(document)
        for step in path.split("/"):
            at = at[step]


def test_every_route_documents_its_refusals(server: Running) -> None:
    """Each operation of the API proper names the statuses that it may answer with, all in OpenAI's envelope."""
    document = httpx.get(f"{server.base_url}/openapi.json").json()
    transcribe = document["paths"]["/v1/audio/transcriptions"]["post"]["responses"]
    assert set(transcribe) >= {"200", "400", "401", "403", "404", "408", "413", "415", "422", "429", "503"}
    for path, operations in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method, operation in operations.items():
            assert {"401", "403"} <= set(operation["responses"]), f"{method} {path}"
            refused = json.dumps({s: r for s, r in operation["responses"].items() if s.startswith("4")})
            assert "HTTPValidationError" not in refused, f"{method} {path}"
