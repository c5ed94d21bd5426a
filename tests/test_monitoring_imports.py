"""What importing the monitoring costs, and does: no web framework, no training, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

NEVER = {"torch", "torchaudio", "librosa", "fastapi", "starlette", "psycopg", "pyarrow", "asr.train"}
PROBE = """
import json, sys, threading
import monitoring.metrics, monitoring.outcomes, monitoring.store
from prometheus_client import REGISTRY
ours = [name for family in REGISTRY.collect() if (name := family.name).startswith("voicesearch")]
print(json.dumps([sorted(sys.modules), threading.active_count(), ours]))
"""


def test_importing_the_monitoring_loads_and_does_nothing_more() -> None:
    """In a fresh interpreter: no package of servers or training, no extra, no thread, no global metric, no word."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, check=True
    )
    loaded, threads, ours = json.loads(run.stdout)
    assert set(loaded) & NEVER == set()
    assert (threads, ours, run.stderr) == (1, [], "")
