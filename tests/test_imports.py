"""What `import asr` costs: the runtime of a phone loads nothing that only servers or training need."""

from __future__ import annotations

import json
import subprocess
import sys

import asr

NEVER = ["torch", "torchaudio", "librosa", "scipy", "fastapi", "sqlalchemy", "prometheus_client", "asr.train"]
PROBE = "import json, sys, asr.cli, asr; print(json.dumps(sorted(sys.modules)))"


def test_the_runtime_loads_no_training_or_server_package() -> None:
    """In a fresh interpreter, library and command line together load none of them."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(run.stdout))
    assert loaded & set(NEVER) == set()
    assert {"asr.stream", "asr.transcribe", "numpy", "onnxruntime"} <= loaded


def test_importing_says_nothing() -> None:
    """No output, no warning: an import has no effects."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import asr"], capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("", "")


def test_the_public_names_exist() -> None:
    """Every name in ``__all__`` is there, once, in order."""
    assert asr.__all__ == sorted(set(asr.__all__))
    assert [name for name in asr.__all__ if not hasattr(asr, name)] == []
