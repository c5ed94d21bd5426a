"""Where the speech is, frame by frame: clips with texts in, truth for a voice activity detector out.

The acoustic model aligns each text with its clip. CTC answers with narrow peaks, so speech is what lies between
peaks that follow each other closely, with its edges moved by energy. What the alignment cannot place is left
out. Frames are of 10 ms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torchaudio.functional
from numpy.typing import NDArray

from asr.bundle import Bundle
from asr.train.corpus import Corpus, Entry
from asr.transcript import SAMPLES_PER_MS, Span

Samples = NDArray[np.float32]

FRAME = 10 * SAMPLES_PER_MS
BRIDGED = 30  # frames between two phones of one run: a long vowel has one peak, a stop consonant a silence
REJOINED = 20  # frames between runs whose edges have moved: shorter pauses are part of speech
OUTWARDS, INWARDS = 25, 10  # frames that an edge moves at most
RANGE_DB = 35.0  # under the level of the run: softer than that is a pause
ABOVE_FLOOR_DB = 6.0  # and what is hardly louder than the clip's quietest tenth is its background
NARROWEST_DB = 20.0  # but a clip that is all speech has no background to judge by


def write_labels(
    corpus: Corpus,
    chosen: Sequence[Entry],
    bundle: Bundle,
    targets: Callable[[Entry], Sequence[int]],
    path: Path,
) -> None:
    """Align the ``chosen`` clips and write one JSON line each: its file name and spans of speech, in frames."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as lines:
        for entry in chosen:
            samples = corpus.samples(entry).astype(np.float32) / 32768.0
            peaks = align(bundle, samples, targets(entry))
            if len(peaks):
                spans = [[span.start, span.end] for span in runs(speech_frames(samples, peaks))]
                lines.write(json.dumps({"offset": entry.offset, "audio": entry.audio, "spans": spans}) + "\n")
    partial.replace(path)


def read_labels(corpus: Corpus, path: Path) -> Iterator[tuple[Entry, NDArray[np.bool_]]]:
    """Clips of `write_labels` with their truth: bool ``(samples // 160,)``."""
    entries = {entry.offset: entry for entry in corpus.entries}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        entry = entries[row["offset"]]
        assert entry.audio == row["audio"], f"{path} was made for another corpus than {corpus.folder}"
        truth = np.zeros(entry.length // FRAME, dtype=np.bool_)
        for start, end in row["spans"]:
            truth[start:end] = True
        yield entry, truth


def choose(entries: Sequence[Entry], hours_per_set: float, seed: int) -> list[Entry]:
    """Clips drawn at random, at most ``hours_per_set`` of each set, so that no set of long clips drowns others."""
    rng = np.random.default_rng(seed)
    left = dict.fromkeys((entry.set for entry in entries), hours_per_set * 3600 * 1000 * SAMPLES_PER_MS)
    chosen = []
    for index in rng.permutation(len(entries)):
        entry = entries[int(index)]
        if left[entry.set] >= entry.length:
            left[entry.set] -= entry.length
            chosen.append(entry)
    return chosen


def align(bundle: Bundle, samples: Samples, target: Sequence[int]) -> NDArray[np.int64]:
    """Frames of 10 ms in which the phones of ``target`` peak, in order; none where the text does not fit."""
    log_probs = bundle.log_probs([samples])[0]
    repeats = sum(first == second for first, second in pairwise(target))
    if not target or len(log_probs) < len(target) + repeats:
        return np.zeros(0, dtype=np.int64)
    tokens = torch.tensor([list(target)], dtype=torch.int32)
    path, _ = torchaudio.functional.forced_align(torch.from_numpy(log_probs)[None], tokens, blank=0)
    per_step = bundle.info.frame_samples // FRAME
    steps = np.flatnonzero(path[0].numpy())
    return np.unique(np.add.outer(steps * per_step, np.arange(per_step)))


def speech_frames(samples: Samples, peaks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Truth for one clip (float32, ``(n,)``, 16 kHz) from the frames of its phones: bool ``(n // 160,)``."""
    count = len(samples) // FRAME
    truth = np.zeros(count, dtype=np.bool_)
    truth[peaks[peaks < count]] = True
    truth = bridge(truth, BRIDGED)
    if not truth.any():
        return truth
    power = np.square(samples[: count * FRAME].reshape(count, FRAME)).mean(axis=1)
    level_db = 10.0 * np.log10(np.convolve(power, np.full(5, 0.2), mode="same") + 1e-12)
    active_db = 10.0 * np.log10(power[truth].mean() + 1e-12)
    floor_db = np.quantile(level_db, 0.1) + ABOVE_FLOOR_DB
    loud = level_db > min(active_db - NARROWEST_DB, max(active_db - RANGE_DB, floor_db))
    moved = np.zeros_like(truth)
    for run in runs(truth):
        start, end = run.start, run.end
        while start > max(0, run.start - OUTWARDS) and loud[start - 1]:
            start -= 1
        while end < min(count, run.end + OUTWARDS) and loud[end]:
            end += 1
        while start < min(end, run.start + INWARDS) and not loud[start]:
            start += 1
        while end > max(start, run.end - INWARDS) and not loud[end - 1]:
            end -= 1
        moved[start:end] = True
    return bridge(moved, REJOINED)


def bridge(truth: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """``truth`` with the gaps of at most ``longest`` frames between its runs filled."""
    filled = truth.copy()
    for first, second in pairwise(runs(truth)):
        if second.start - first.end <= longest:
            filled[first.end : second.start] = True
    return filled


def away_from_edges(truth: NDArray[np.bool_], collar: int) -> NDArray[np.bool_]:
    """False within ``collar`` frames of a change of ``truth``."""
    away = np.ones(len(truth), dtype=np.bool_)
    for change in np.flatnonzero(truth[1:] != truth[:-1]) + 1:
        away[max(0, change - collar) : change + collar] = False
    return away


def runs(truth: NDArray[np.bool_]) -> Iterator[Span]:
    """The runs of True, as half-open intervals of indices."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], truth, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        yield Span(int(start), int(end))
