"""Settings come from flags over the environment over defaults, and what is wrong with one is said by name."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path

import pytest

from asr.errors import OptionError
from monitoring.keeping import Keeping
from serving.commands.serve import add_arguments, settings_of
from serving.settings import Settings


def chosen(*flags: str) -> Settings:
    parser = ArgumentParser()
    add_arguments(parser)
    return settings_of(parser.parse_args(flags))


def test_the_environment_lists_names_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """No JSON in a unit file: ``VOICESEARCH_CATALOGS=books, cafe``; empty means none."""
    monkeypatch.setenv("VOICESEARCH_CATALOGS", "books, my/own.jsonl")
    monkeypatch.setenv("VOICESEARCH_MODEL_ALIASES", "")
    assert Settings().catalogs == ("books", "my/own.jsonl")
    assert Settings().model_aliases == ()


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is not given as a flag comes from the environment, else from the defaults."""
    monkeypatch.setenv("VOICESEARCH_PORT", "9000")
    monkeypatch.setenv("VOICESEARCH_WORKERS", "3")
    settings = chosen(
        "--port", "9001", "--catalog", "a.jsonl", "--catalog", "books", "--state", str(tmp_path)
    )
    assert (settings.port, settings.workers, settings.host) == (9001, 3, "127.0.0.1")
    assert settings.catalogs == ("a.jsonl", "books")
    assert settings.state_folder == tmp_path


def test_state_is_kept_where_systems_keep_it_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG state folder by default, nothing with --no-state, no catalogue with --no-catalog."""
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert chosen().state_folder == Path("/somewhere/voicesearch")
    assert chosen("--no-state").state_folder is None
    assert chosen("--no-catalog").catalogs == ()


def test_each_wrong_setting_is_named() -> None:
    """With what is wrong and the value seen, in one OptionError."""
    with pytest.raises(
        OptionError, match=r"workers: .*greater than or equal to 1, not 0.*latency_budget_ms: "
    ):
        chosen("--workers", "0", "--latency-budget-ms", "1")


def test_an_unknown_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs' variables with our prefix do not stop the server; settings themselves cannot be changed."""
    monkeypatch.setenv("VOICESEARCH_NOBODY", "1")
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_audio_is_not_kept_for_longer_than_its_record() -> None:
    """Nobody could erase it any more; and no days are for ever for the one, never for the other."""
    assert Settings(keep_days=7.0, retain_audio_days=30.0).audio_days == 7.0
    assert Settings(keep_days=0.0, retain_audio_days=30.0).audio_days == 30.0
    assert Settings(retain_audio_days=0.0).audio_days == 0.0
    assert chosen("--keep-days", "0.5", "--keep-counts-days", "0").keeping == Keeping(
        timedelta(hours=12), None
    )
