"""``monitoring.alarms.rules``: the shipped file holds; what is wrong in another is named by line, value and limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.alarms import rules
from monitoring.alarms.rules import SHIPPED, Promise, Severity
from monitoring.alarms.rules_table import parse_s
from monitoring.counts.rollup import RATES
from monitoring.errors import RulesError


def test_the_shipped_rules_cover_what_was_promised() -> None:
    """Errors and latency page and ticket by the SRE Workbook's table; every rate of people and answers is watched."""
    shipped = rules.load()
    pages = {rule.of: rule for rule in shipped.contracts if rule.about.severity is Severity.PAGE}
    assert pages.keys() == set(Promise)
    for rule in pages.values():
        assert [(burn.rate, burn.long_s, burn.short_s) for burn in rule.burns] == [
            (14.4, 3_600, 300),
            (6.0, 21_600, 1_800),
        ]
    assert {rule.of for rule in shipped.ratios} == RATES.keys() - {"error_rate", "rejected_rate"}
    assert [rule.of for rule in shipped.ratios if rule.direction is rules.Direction.DOWN] == ["click_rate"]
    assert list(shipped.by_name) == [rule.about.name for rule in shipped]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("limit = 0.30", "limit = 4", "'null-rate-high': limit is 4; expected from 0 to 1"),
        ("limit = 0.30", "limit = true", "'null-rate-high': limit is True; expected a number from 0 to 1"),
        ("limit = 0.30", "limits = 0.30", "'null-rate-high': limit is missing; expected it to be there"),
        ("limit = 0.30", "limit = 0.30\nmore = 1", "'null-rate-high': more is 1; expected no such field"),
        ('of = "null_rate"', 'of = "nul_rate"', "of is 'nul_rate'; expected one of error_rate,"),
        ('name = "null-rate-high"', 'name = "Null rate"', "name is 'Null rate'; expected words in lower case"),
        ('windows = ["1h", "6h", "1d", "7d"]', 'windows = ["1"]', "windows is 0; expected times between 10m and 7d"),
        ("needed = 2", "needed = 4", "'input-drift': needed is 4; expected at most of_windows, 3"),
        ("rate = 14.4", "rate = 200", "burns is 200.0; expected a rate below 200"),
        ('short = "5m"', 'short = "1h"', "short is '3600 s'; expected shorter than long, 3600 s"),
        ('within = "500ms"', "", "'latency-page': within is missing"),
        ("records = 5000", "records = 5", "reference: records is 5; expected a whole number from 200"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, expected: str) -> None:
    """The message has the rule, the field, the value seen, what is allowed, and the line where it stands."""
    text = SHIPPED.read_text(encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        rules.parse(text.replace(old, new, 1), "mine.toml")
    message = str(caught.value)
    assert expected in message
    lines = text.splitlines()
    line = int(message.removeprefix("mine.toml line ").split(":")[0])
    rule = max(at for at, text in enumerate(lines[: line + 1]) if text.startswith("["))
    first = next(at for at, text in enumerate(lines) if old in text)
    assert rule <= first < rule + 25, message
    if "missing" not in expected and "rate below" not in expected and "such field" not in expected:
        assert line == first + 1, message


def test_two_rules_of_one_name_are_refused() -> None:
    """An alarm is known by its name, so two cannot share it."""
    text = SHIPPED.read_text(encoding="utf-8").replace("errors-ticket", "errors-page")
    with pytest.raises(RulesError, match="two rules are called 'errors-page'"):
        rules.parse(text)


def test_a_file_that_is_no_rules_is_refused(tmp_path: Path) -> None:
    """Not there, not text, not TOML: a typed error that names the file."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.toml", binary):
        with pytest.raises(RulesError, match=path.name):
            rules.load(path)
    with pytest.raises(RulesError, match=r"mine.toml is not TOML: .*line 1"):
        rules.parse("[[ratio]", "mine.toml")


def test_times_have_units() -> None:
    """A number alone is no time."""
    assert [parse_s(text) for text in ("500ms", "15m", "2 h", "3d", "15", "-1s", "")] == [
        0.5, 900, 7_200, 259_200, None, None, None,
    ]  # fmt: skip
