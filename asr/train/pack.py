"""Corpora as files that travel: Opus in shards of a limited size, with digests, and back again.

A bare machine without a network trains from nothing but a pack:

    pack/
      manifest.json    format, and of each shard its name, size and SHA-256
      shard-00.tar     files under texts/ and code/, and of each corpus its index and chunks:
                       corpora/KIND/NAME/index.jsonl.xz, corpora/KIND/NAME/00000.opus ...

KIND (``real``, ``synthetic``, ``dev``, ``noise``) is the part that a corpus plays in training. A chunk is
some minutes of clips end to end: one Opus stream for many clips costs no header, no start-up and no padding
of each. An Opus file states its delay and its length, so decoding gives back as many samples, aligned, and
a clip is cut out at its place. Opus is lossy: the samples differ, the texts and lengths do not.
"""

from __future__ import annotations

import io
import json
import lzma
import multiprocessing
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.digest import file_digest
from asr.errors import BundleDigestError, BundleError
from asr.train.corpus import Corpus, CorpusWriter, Entry
from asr.transcript import SAMPLE_RATE_HZ

FORMAT = 1
KINDS = ("real", "synthetic", "dev", "noise")
SHARD_BYTES = 60 << 20
CHUNK = 180 * SAMPLE_RATE_HZ  # 3 minutes: about half a megabyte
GAP = 320  # 20 ms, one Opus frame: a clip's start is not coded with the end of the one before
# libsndfile's scale from most to fewest bits; at 16 kHz mono .93 gives 23 kbit/s and .85 gives 42 (measured).
COMPRESSION = {"real": 0.93, "synthetic": 0.93, "dev": 0.93, "noise": 0.85}


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a pack: its path inside, and its content."""

    name: str
    content: bytes


def corpus_members(kind: str, folder: Path, workers: int = 1) -> Iterator[Member]:
    """The files of one corpus in a pack."""
    assert kind in KINDS, kind
    corpus = Corpus(folder)
    prefix = f"corpora/{kind}/{folder.name}"
    chunks = list(_chunks(corpus.entries))
    rows = [
        json.dumps({"chunk": number, "at": at, **asdict(entry)})
        for number, chunk in enumerate(chunks)
        for at, entry in chunk
    ]
    yield Member(f"{prefix}/index.jsonl.xz", lzma.compress(("\n".join(rows) + "\n").encode()))
    jobs = ((folder, chunk, COMPRESSION[kind]) for chunk in chunks)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for number, content in enumerate(pool.imap(_encode_job, jobs)):
            yield Member(f"{prefix}/{number:05d}.opus", content)


def file_members(prefix: str, folder: Path, paths: Iterable[Path]) -> Iterator[Member]:
    """Files as they are, under ``prefix``, named relative to ``folder``."""
    for path in sorted(paths):
        yield Member(str(PurePosixPath(prefix, path.relative_to(folder).as_posix())), path.read_bytes())


def write_pack(members: Iterable[Member], folder: Path, shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write shards of at most ``shard_bytes`` and the manifest; the shards' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("shard-*.tar"):
        old.unlink()
    paths: list[Path] = []
    shard: tarfile.TarFile | None = None
    used = 0
    for member in members:
        # A tar file: 512 for the name, content in blocks of 512, and at the end a record of 10,240.
        size = 512 + -(-len(member.content) // 512) * 512
        if size + 10_240 > shard_bytes:
            raise BundleError(
                f"{member.name}: {size} bytes do not fit a shard of {shard_bytes}; leave it out"
            )
        if shard is None or used + size + 10_240 > shard_bytes:
            if shard is not None:
                shard.close()
            paths.append(folder / f"shard-{len(paths):02d}.tar")
            shard, used = tarfile.open(paths[-1], "w", format=tarfile.USTAR_FORMAT), 0  # noqa: SIM115
        info = tarfile.TarInfo(member.name)
        info.size = len(member.content)
        shard.addfile(info, io.BytesIO(member.content))
        used += size
    if shard is not None:
        shard.close()
    rows = [{"name": p.name, "bytes": p.stat().st_size, "sha256": file_digest(p)} for p in paths]
    manifest = {"format": FORMAT, "shards": rows}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return paths


def unpack(pack: Path, folder: Path) -> list[Path]:
    """Give back what was packed: texts, code, and corpora, whose folders are returned.

    Raises BundleError where the pack is of another format or a shard is missing, BundleDigestError where a
    shard is not the one that was written. Nothing is unpacked before all shards were checked.
    """
    manifest = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{pack}: pack format {manifest.get('format')!r}, expected {FORMAT}; pack again")
    for row in manifest["shards"]:
        _check(pack / row["name"], row)
    for row in manifest["shards"]:
        with tarfile.open(pack / row["name"]) as shard:
            shard.extractall(folder, filter="data")
    indices = sorted((folder / "corpora").glob("*/*/index.jsonl.xz"))
    for index in indices:
        _restore(index.parent)
    return [index.parent for index in indices]


def _chunks(entries: Sequence[Entry]) -> Iterator[list[tuple[int, Entry]]]:
    """Clips in order, each with its place in its chunk; a clip longer than a chunk has one of its own."""
    chunk: list[tuple[int, Entry]] = []
    at = 0
    for entry in entries:
        if chunk and at + entry.length > CHUNK:
            yield chunk
            chunk, at = [], 0
        chunk.append((at, entry))
        at += entry.length + GAP
    if chunk:
        yield chunk


def _encode_job(job: tuple[Path, list[tuple[int, Entry]], float]) -> bytes:
    folder, chunk, compression = job
    corpus = Corpus(folder)
    at, last = chunk[-1]
    samples = np.zeros(at + last.length + GAP, np.int16)
    for at, entry in chunk:
        samples[at : at + entry.length] = corpus.samples(entry)
    return encode(samples, compression)


def encode(samples: NDArray[np.int16], compression: float) -> bytes:
    """An OGG/Opus file of int16 samples, shape ``(n,)``, 16 kHz."""
    stream = io.BytesIO()
    soundfile.write(
        stream, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=compression
    )
    return stream.getvalue()


def decode(content: bytes) -> NDArray[np.int16]:
    """The inverse of `encode`: as many samples, at the same places."""
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        sound.seek(0)  # without it libsndfile may start at the wrong place of an Opus stream
        samples: NDArray[np.int16] = sound.read(dtype="int16")
    return samples


def _restore(folder: Path) -> None:
    """Turn the index and chunks in ``folder`` into a corpus, and remove them."""
    index = folder / "index.jsonl.xz"
    rows = [json.loads(line) for line in lzma.decompress(index.read_bytes()).splitlines()]
    with CorpusWriter(folder) as writer:
        number, samples = -1, np.zeros(0, np.int16)
        for row in rows:
            if row["chunk"] != number:
                number = row["chunk"]
                samples = decode((folder / f"{number:05d}.opus").read_bytes())
            writer.add(_cut(samples, row, folder), **{key: row[key] for key in _KEPT})
    for path in (index, *folder.glob("*.opus")):
        path.unlink()


_KEPT = ("text", "speaker", "set", "audio", "phones")


def _cut(samples: NDArray[np.int16], row: dict[str, Any], folder: Path) -> NDArray[np.int16]:
    clip = samples[row["at"] : row["at"] + row["length"]]
    if len(clip) != row["length"]:
        raise BundleError(
            f"{folder.name}: chunk {row['chunk']} has {len(samples)} samples, clip {row['audio']} ends at "
            f"{row['at'] + row['length']}; pack again"
        )
    return clip


def _check(path: Path, row: dict[str, Any]) -> None:
    if not path.exists():
        raise BundleError(f"{path}: missing; copy all shards of the pack to one folder")
    found = file_digest(path)
    if found != row["sha256"]:
        raise BundleDigestError(f"{path}: SHA-256 {found}, expected {row['sha256']}; copy it again")
