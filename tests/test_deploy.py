"""What deploys the service is linted by the tools of each trade, and names only settings that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serving.settings import Settings

yaml = pytest.importorskip("yaml", reason="needs PyYAML")
DEPLOY = Path(__file__).parent.parent / "scripts" / "deploy"


def checked(*command: str | Path) -> str:
    """Run a linter, which must be there and must be content."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_clean() -> None:
    """hadolint finds nothing, not even a hint."""
    assert checked("hadolint", "--no-color", DEPLOY / "Dockerfile") == ""


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """systemd-analyze verifies it, with the executable that it expects put in place."""
    unit = tmp_path / "voicesearch.service"
    text = (DEPLOY / "voicesearch.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/voicesearch/bin/voicesearch", "/bin/true"), encoding="utf-8")
    checked("systemd-analyze", "verify", "--man=no", unit)


def test_prometheus_takes_its_configuration() -> None:
    """promtool reads it, and what it scrapes is the service of the compose file, at the port it exposes."""
    checked("promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus.yaml")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert name in services
    assert f"EXPOSE {port}" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert int(port) == Settings().port


def test_settings_that_are_named_exist() -> None:
    """Every VOICESEARCH_ variable in these files is a setting of the server, or marked as a file of compose's own."""
    named = {
        name.lower()
        for file in DEPLOY.iterdir()
        if file.is_file()
        for name in re.findall(r"\bVOICESEARCH_([A-Z_]+)\b", file.read_text(encoding="utf-8"))
    }
    assert named - {"metrics_key_file"} <= Settings.model_fields.keys()
    assert {"host", "keys", "state_folder"} <= named
