"""What is different between two sets of rules, so that nobody changes a threshold without a line in the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from monitoring.alarms.rules import Rules


def as_dict(rules: Rules) -> dict[str, Any]:
    """Every value of the rules, by name of the rule, for JSON."""
    body = {"reference": asdict(rules.reference), **{rule.about.name: asdict(rule) for rule in rules}}
    made: dict[str, Any] = json.loads(json.dumps(body))
    return made


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which values of the rules are others than before, in words."""
    changed = [f"{name}: {old!r} -> {new!r}" for name, old, new in _pairs(before, now, "") if old != new]
    return "; ".join(changed)[:1_000] or "the same rules, in another order"


def _pairs(before: Mapping[str, Any], now: Mapping[str, Any], path: str) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in dict.fromkeys([*before, *now]):
        old, new, place = before.get(name), now.get(name), f"{path}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += _pairs(old, new, f"{place}.")
        else:
            found.append((place, old, new))
    return found
