"""``asr.train.pack``: corpora survive the way through Opus shards, and damage is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.errors import BundleDigestError, BundleError
from asr.train import pack
from asr.train.corpus import Corpus, CorpusWriter

LENGTHS = (16_000, 4_801, 31_999, 160, 24_000)


def tone(index: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """A chord that swells and dies, different for each clip."""
    time = np.arange(length) / 16_000
    wave = sum(np.sin(2 * np.pi * (200 + 130 * index) * k * time) / k for k in (1, 2, 3))
    return np.asarray(6000 * wave * np.sin(np.pi * np.arange(length) / length), dtype=np.int16)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Five clips, two of which carry their phones."""
    folder = tmp_path / "work" / "toy"
    with CorpusWriter(folder) as writer:
        for index, length in enumerate(LENGTHS):
            phones = ("AH", "B") if index % 2 else None
            writer.add(
                tone(index, length),
                text=f"clip {index}",
                speaker="s",
                set="toy",
                audio=f"{index}.wav",
                phones=phones,
            )
    return Corpus(folder)


def test_corpus_comes_back(corpus: Corpus, tmp_path: Path) -> None:
    """Same entries, same lengths, sound aligned to the sample, also across several shards."""
    shards = pack.write_pack(pack.corpus_members("real", corpus.folder), tmp_path / "pack", 30_000)
    assert all(shard.stat().st_size <= 30_000 for shard in shards)
    (folder,) = pack.unpack(tmp_path / "pack", tmp_path / "out")
    assert folder == tmp_path / "out" / "corpora" / "real" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == ["index.jsonl", "samples.i16"]
    back = Corpus(folder)
    assert back.entries == corpus.entries
    for entry in corpus.entries:
        before, after = (c.samples(entry).astype(np.float64) for c in (corpus, back))
        if entry.length < 4_000:
            continue  # too short to align by its sound
        lags = range(-40, 41)
        likeness = [float(np.dot(before[100:-100], np.roll(after, lag)[100:-100])) for lag in lags]
        assert lags[int(np.argmax(likeness))] == 0, entry.audio
        assert np.corrcoef(before, after)[0, 1] > 0.97, entry.audio


def test_chunks_hold_whole_clips_in_order(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are never split; a clip longer than a chunk gets a chunk of its own."""
    monkeypatch.setattr(pack, "CHUNK", 21_500)
    chunks = [[entry.audio for _, entry in chunk] for chunk in pack._chunks(corpus.entries)]
    assert chunks == [["0.wav", "1.wav"], ["2.wav"], ["3.wav"], ["4.wav"]]
    assert [at for at, _ in next(pack._chunks(corpus.entries))] == [0, 16_320]


def test_several_shards_are_filled_up_to_the_limit(tmp_path: Path) -> None:
    """Members go to the next shard where they would not fit, and texts and code come back unchanged."""
    members = [pack.Member(f"texts/{name}", name.encode() * 9_000) for name in "abcde"]
    shards = pack.write_pack(members, tmp_path / "pack", 30_720)
    assert [shard.name for shard in shards] == ["shard-00.tar", "shard-01.tar", "shard-02.tar"]
    assert max(shard.stat().st_size for shard in shards) <= 30_720
    assert pack.unpack(tmp_path / "pack", tmp_path / "out") == []
    assert (tmp_path / "out" / "texts" / "e").read_bytes() == b"e" * 9_000


def test_member_larger_than_a_shard_is_refused(tmp_path: Path) -> None:
    """The message names the member and both sizes."""
    with pytest.raises(BundleError, match=r"big: 20992 bytes do not fit a shard of 20000"):
        pack.write_pack([pack.Member("big", bytes(20_480))], tmp_path, 20_000)


def test_damaged_shard_is_refused_before_anything_is_written(corpus: Corpus, tmp_path: Path) -> None:
    """One flipped byte: an error that names the shard, and no output."""
    (shard,) = pack.write_pack(pack.corpus_members("real", corpus.folder), tmp_path / "pack")
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BundleDigestError, match=r"shard-00\.tar: SHA-256"):
        pack.unpack(tmp_path / "pack", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_shard_is_named(corpus: Corpus, tmp_path: Path) -> None:
    """Shards may travel one at a time: the one that did not arrive is named."""
    (shard,) = pack.write_pack(pack.corpus_members("dev", corpus.folder), tmp_path / "pack")
    shard.unlink()
    with pytest.raises(BundleError, match=r"shard-00\.tar: missing"):
        pack.unpack(tmp_path / "pack", tmp_path / "out")


def test_chunk_shorter_than_its_index_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    """A clip that would be cut short is an error, not a shorter clip."""
    entry = replace(corpus.entries[0], length=16_000)
    row = {"chunk": 0, "at": 0, "length": entry.length, "audio": entry.audio}
    with pytest.raises(BundleError, match=r"chunk 0 has 100 samples, clip 0\.wav ends at 16000"):
        pack._cut(np.zeros(100, np.int16), row, tmp_path)
