"""``monitoring.prometheus.rules``: the rules that ship are those of ``rules.toml``, fire when they should, and work.

promtool judges them, on series written by hand beside them; a real Prometheus evaluates them on a real server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitoring.alarms import rules
from monitoring.alarms.rules import Promise
from monitoring.commands.monitor import add_arguments, run
from monitoring.prometheus import file as prometheus_file
from monitoring.prometheus import rules as prometheus_rules
from monitoring.prometheus.rules import Alert

if TYPE_CHECKING:  # it needs the extra ``serve``
    from serving_app import Running

yaml = pytest.importorskip("yaml", reason="needs PyYAML")
FOLDER = Path(__file__).parent.parent / "scripts" / "deploy" / "prometheus"
SHIPPED = FOLDER / "voicesearch.rules.yaml"
TESTS = sorted(FOLDER.glob("*.tests.yaml"))
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
rule_files: [{rules}]
scrape_configs: [{{job_name: voicesearch, static_configs: [{{targets: ["{target}"]}}]}}]
"""


def promtool(*arguments: str | Path) -> str:
    """Run it, which must be there and must be content."""
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_file_that_ships_is_made_of_the_rules_that_ship(tmp_path: Path) -> None:
    """Made again it is the same: `voicesearch monitor rules --output` after a change of rules.toml."""
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["rules", "--output", str(tmp_path / "made")])) == 0
    assert (tmp_path / "made").read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")
    promtool("check", "rules", SHIPPED)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_rules_fire_and_clear_when_they_should(file: Path) -> None:
    """promtool test rules, with the series of that file."""
    assert "SUCCESS" in promtool("test", "rules", file)


def test_no_alert_is_without_a_test() -> None:
    """Each alert of the file is expected to fire somewhere; those of the service are all of one form."""
    expected = "".join(file.read_text(encoding="utf-8") for file in TESTS)
    groups = prometheus_rules.groups(rules.load())
    alerts = [rule for group in groups for rule in group.rules if isinstance(rule, Alert)]
    untested = {
        alert.alert
        for alert in alerts
        if alert.judge == "prometheus"
        and f'alertname="{alert.alert}"' not in expected
        and f"alertname: {alert.alert}" not in expected
    }
    assert untested == {"text-drift"}  # made as input-drift is, of other stages


def test_a_time_between_two_buckets_is_judged_at_the_shorter_and_says_so() -> None:
    """No histogram knows how many took longer than 350 ms: more did than took 250."""
    shipped = rules.load()
    contract = next(rule for rule in shipped.contracts if rule.of is Promise.LATENCY)
    odd = replace(shipped, contracts=(replace(contract, within_s=0.35),))
    text = prometheus_file.text(prometheus_rules.groups(odd))
    assert "voicesearch:slower_than_250ms:increase1h" in text
    assert "Judged at 250ms, the bucket below 0.35 s." in text


@contextmanager
def prometheus(config: str, folder: Path) -> Iterator[str]:
    """The address of a running one."""
    import socket

    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus")
    (folder / "prometheus.yml").write_text(config)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def until(question: Callable[[], Any]) -> Any:
    """Ask until there is an answer. A machine may be slow, but not for a minute."""
    for _ in range(600):
        try:
            if answer := question():
                return answer
        except OSError:  # not up yet
            pass
        time.sleep(0.1)
    raise AssertionError("no answer for a minute")


def ask(url: str) -> Any:
    """The data of an answer of Prometheus."""
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]


def test_a_real_prometheus_evaluates_them_on_a_real_server(server: Running, tmp_path: Path) -> None:
    """Every rule, without an error; requests are counted, and on a healthy server nothing fires."""
    hurried = SHIPPED.read_text(encoding="utf-8").replace("interval: 1m", "interval: 1s")
    (tmp_path / "rules.yaml").write_text(hurried, encoding="utf-8")
    target = server.base_url.removeprefix("http://")
    with prometheus(CONFIG.format(rules=tmp_path / "rules.yaml", target=target), tmp_path) as address:

        def evaluated() -> list[dict[str, Any]] | None:
            made = [rule for group in ask(f"{address}/api/v1/rules")["groups"] for rule in group["rules"]]
            return made if made and all(rule["health"] != "unknown" for rule in made) else None

        made = until(evaluated)
        assert {rule["name"]: rule.get("lastError") for rule in made if rule["health"] != "ok"} == {}
        assert len(made) == hurried.count("- record:") + hurried.count("- alert:")
        counted = f"{address}/api/v1/query?query=voicesearch:requests:increase1h"
        assert until(lambda: ask(counted)["result"])[0]["metric"] == {
            "__name__": "voicesearch:requests:increase1h"
        }
        until(lambda: ask(f"{address}/api/v1/query?query=up==1")["result"])
        firing = ask(f"{address}/api/v1/alerts")["alerts"]
        assert [alert for alert in firing if alert["state"] == "firing"] == []
