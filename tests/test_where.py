"""``monitoring.commands.where``: which event store the verbs of ``voicesearch monitor`` ask."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from monitoring.commands.where import add_store, open_store
from monitoring.errors import NoStoreError, StoreUnavailableError, StoreUrlError
from monitoring.storage.database import FILE_NAME
from monitoring.store import EventStore
from serving.commands.serve import state_home


def ask(*arguments: str, create: bool = False) -> EventStore:
    """The store that a command line names."""
    parser = ArgumentParser()
    add_store(parser)
    return open_store(parser.parse_args(arguments), create=create)


def make(file: Path) -> None:
    """A store there."""
    EventStore.open(f"sqlite:///{file}").close()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user of our own, whose environment says nothing."""
    for name in ("VOICESEARCH_STORE", "VOICESEARCH_STATE_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_default_is_where_serve_keeps_it(home: Path) -> None:
    """The service's own folder and file; absent, the error names that file and what to do."""
    with pytest.raises(NoStoreError, match=rf"{home}/voicesearch/{FILE_NAME}.*--store URL or --state FOLDER"):
        ask()
    make(state_home() / FILE_NAME)
    ask().close()


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--store or --state, then VOICESEARCH_STORE, then VOICESEARCH_STATE_FOLDER."""
    monkeypatch.setenv("VOICESEARCH_STATE_FOLDER", str(tmp_path / "d"))
    with pytest.raises(NoStoreError, match=f"{tmp_path}/d/{FILE_NAME}"):
        ask()
    monkeypatch.setenv("VOICESEARCH_STORE", f"sqlite:///{tmp_path}/c.db")
    with pytest.raises(NoStoreError, match=f"{tmp_path}/c.db"):
        ask()
    with pytest.raises(NoStoreError, match=f"{tmp_path}/b/{FILE_NAME}"):
        ask("--state", str(tmp_path / "b"))
    with pytest.raises(NoStoreError, match=f"{tmp_path}/a.db"):
        ask("--store", f"sqlite:///{tmp_path}/a.db")


def test_a_store_is_only_made_if_told_to(tmp_path: Path) -> None:
    """Asking leaves nothing behind."""
    with pytest.raises(NoStoreError):
        ask("--state", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    ask("--state", str(tmp_path / "new"), create=True).close()
    assert (tmp_path / "new" / FILE_NAME).exists()


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    """A file of something else, and a URL of nothing that we know."""
    (tmp_path / FILE_NAME).write_text("something else, and longer than the header of a database is")
    with pytest.raises(StoreUnavailableError, match="not a database"):
        ask("--state", str(tmp_path))
    with pytest.raises(StoreUrlError, match="sqlite:///"):
        ask("--store", "mysql://here")
