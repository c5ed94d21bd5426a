"""Phone error rate on a corpus by best-path decoding: quick enough to be measured while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from asr.train.batches import collate
from asr.train.corpus import Corpus, Entry
from asr.train.model import AcousticModel
from asr.wer import ErrorCounts, align

BATCH = 8


def phone_error_rates(
    model: AcousticModel, corpus: Corpus, targets: Callable[[Entry], Sequence[int]], *, clips_per_set: int
) -> dict[str, float]:
    """Phone error rate of each set of ``corpus`` on its first ``clips_per_set`` clips, rounded to 0.1 %."""
    groups: dict[str, list[Entry]] = {}
    for entry in corpus.entries:
        group = groups.setdefault(entry.set, [])
        if len(group) < clips_per_set:
            group.append(entry)
    rates = {}
    for name, entries in groups.items():
        entries.sort(key=lambda entry: entry.length)
        counts = ErrorCounts(0, 0, 0, 0)
        for start in range(0, len(entries), BATCH):
            part = entries[start : start + BATCH]
            clips = [(corpus.samples(e).astype(np.float32) / 32768.0, targets(e)) for e in part]
            for tokens, entry in zip(best_paths(model, clips), part, strict=True):
                counts += align([str(t) for t in targets(entry)], [str(t) for t in tokens])
        rates[name] = round(counts.rate, 3)
    return rates


@torch.inference_mode()
def best_paths(
    model: AcousticModel, clips: Sequence[tuple[NDArray[np.float32], Sequence[int]]]
) -> list[list[int]]:
    """Best path of each clip, repeats merged and blanks (id 0) removed."""
    model.eval()
    device = next(model.parameters()).device
    batch = collate(clips).to(device)
    log_probs, counts = model(batch.audio, batch.lengths)
    paths = []
    for row, count in zip(log_probs.argmax(dim=-1).cpu(), counts.tolist(), strict=True):
        merged = torch.unique_consecutive(row[:count])
        paths.append(merged[merged != 0].tolist())
    return paths
