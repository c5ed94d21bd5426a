"""asr.quiet: KenLM's progress stays off standard error, everything else arrives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asr import catalog, catalog_build
from asr.commands.catalog import pronouncer
from asr.mixture import catalog_decoder
from asr.quiet import without_kenlm_progress
from asr.transcribe import Transcriber


def test_other_lines_arrive(capfd: pytest.CaptureFixture[str]) -> None:
    """What is no progress is written after the call, in its order."""
    with without_kenlm_progress():
        os.write(2, b"one\nReading /tmp/lm.arpa.gz\n----5---10---15---20--100\n*****\ntwo: *\n")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "one\ntwo: *\n"


def test_an_error_inside_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    """The descriptor is put back, and what had been written arrives, when the call fails."""

    @without_kenlm_progress()
    def fail() -> None:
        os.write(2, b"before\n")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_a_catalogue_loads_quietly(
    tmp_path: Path, transcriber: Transcriber, capfd: pytest.CaptureFixture[str]
) -> None:
    """KenLM reads a catalogue's ARPA file without a word."""
    small = transcriber.bundle
    carriers = [catalog_build.carrier("play {title}")]
    contents = catalog_build.build(
        [catalog_build.Item("1", ("blue lakes",))],
        carriers,
        small.tokens,
        pronouncer(small.folder, small.info),
    )
    made = catalog.write(tmp_path / "songs", contents)
    capfd.readouterr()
    decoder = catalog_decoder(made, small.info.decoder.options, small.tokens)
    assert decoder.log_probability(["play", "blue", "lakes"]) > decoder.log_probability(["lakes", "blue"])
    assert capfd.readouterr().err == ""
