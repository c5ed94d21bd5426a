"""Spoken searches to test with: what people would say to ask for the items of a catalogue, by voices, in noise.

In: items and carriers (`asr.catalog_build`). Out: queries with the items that answer them, and their clips. All of
it follows from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.catalog_build import Carrier, Item, fill
from asr.train.augment import coloured_noise, mix
from asr.train.phrases import phrase
from asr.train.synthesis import Recipe, Skipped, draw_manner, synthesise
from asr.transcript import SAMPLE_RATE_HZ

NOISY, SNR_DB = 0.5, (5.0, 25.0)  # share of the clips with noise, and how loud


@dataclass(frozen=True, slots=True)
class Query:
    """A spoken sentence, the items that answer it, and whether they belong to the tuning half."""

    name: str
    text: str
    wanted: tuple[str, ...]
    tuning: bool


def draw(items: Sequence[Item], carriers: Sequence[Carrier], per_item: int, seed: int) -> list[Query]:
    """Sentences for each item: a carrier that it can fill, by weight. An author is answered by any of their books."""
    source = random.Random(seed)
    queries = []
    for at, item in enumerate(items):
        fitting = [each for each in carriers if all(s == "title" or item.facets.get(s) for s in each.slots)]
        for number in range(per_item):
            (carrier,) = source.choices(fitting, [each.weight for each in fitting])
            values = [
                source.choice(item.names if slot == "title" else item.facets[slot]) for slot in carrier.slots
            ]
            wanted = tuple(other.id for other in items if _answers(other, carrier, values))
            queries.append(Query(f"{item.id}-{number}", fill(carrier.text, values), wanted, at % 2 == 0))
    return queries


def _answers(item: Item, carrier: Carrier, values: Sequence[str]) -> bool:
    return all(
        value in (item.names if slot == "title" else item.facets.get(slot, ()))
        for slot, value in zip(carrier.slots, values, strict=True)
    )


def speak(task: tuple[Query, Path, int]) -> None:
    """Synthesise one query, with noise or without, into a file; nothing where the file is there."""
    query, path, seed = task
    if path.exists():
        return
    source = random.Random(f"{seed} {query.name}")
    for engine in source.sample(("flite", "espeak"), 2):
        clip = synthesise(Recipe(phrase(query.text), draw_manner(engine, source)))
        if not isinstance(clip, Skipped):
            break
    else:
        raise RuntimeError(f"neither flite nor espeak-ng could say {query.text!r}")
    samples = np.asarray(clip.samples / 32_768, np.float32)
    if source.random() < NOISY:
        rng = np.random.default_rng(source.getrandbits(32))
        samples = mix(samples, coloured_noise(rng), source.uniform(*SNR_DB), rng)
    soundfile.write(path, samples / max(1.0, float(np.abs(samples).max())), SAMPLE_RATE_HZ)
