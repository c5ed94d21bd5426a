"""What people install is the wheel: its size, its contents, and that it works without the sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from asr import bundle

pytest.importorskip("setuptools", reason="needs voicesearch[test]")

ROOT = Path(__file__).parents[1]
MAX_BYTES = 20_000_000

pytestmark = pytest.mark.skipif(
    bundle.DEFAULT_MODEL not in bundle.available(), reason="needs the shipped model"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what git would clone: leftovers in the working tree must not hide a missing file."""
    if not (ROOT / ".git").exists():
        pytest.skip("only in a git checkout: an unpacked archive has nothing to compare with")
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("asr/", "serving/", "monitoring/", "data/catalog/")) or "/" not in name:
            (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "src" / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "src"], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    """The wheel holds the runtime, the shipped model, and no tests, in at most 20 MB."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"asr/transcribe.py", "asr/py.typed", "asr/models/en-small/bundle.json"} <= names
    assert {"asr/models/vad-small/vad.onnx", "asr/report/templates/index.html"} <= names
    assert not [name for name in names if name.startswith(("tests", "scripts", "data"))]
    shared = {name.partition(".data/data/")[2] for name in names}
    assert {
        f"share/voicesearch/catalog/{name}" for name in ("books.jsonl", "books.carriers.txt", "cafe.jsonl")
    } <= shared
    unpacked = sum(
        info.file_size for info in zipfile.ZipFile(wheel).infolist() if "/models/" in info.filename
    )
    assert unpacked <= MAX_BYTES
    assert wheel.stat().st_size <= MAX_BYTES


def test_the_wheel_transcribes_without_the_sources(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, the wheel alone verifies its model and transcribes a clip."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import asr, json, sys; transcript = asr.Transcriber.load().transcribe(sys.argv[1]);"
        "print(json.dumps([asr.__file__, transcript.model, transcript.text]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, ROOT / "data" / "samples" / "play_jazz.wav"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    ).stdout
    file, model, text = json.loads(printed)
    assert Path(file).is_relative_to(tmp_path)
    assert model.startswith("en-small@")
    assert text
