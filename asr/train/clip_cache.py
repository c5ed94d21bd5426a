"""Spoken sentences that are made when somebody says them first, and kept in a folder."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from dataclasses import dataclass
from pathlib import Path

import soundfile

from asr.train.takes import Samples, crowd_of, draw_take, recorded
from asr.transcript import SAMPLE_RATE_HZ

WORDS_LENGTH = 60  # characters: with the rest far from the 255 bytes that file systems take


@dataclass(frozen=True, slots=True)
class Spoken:
    """Which clip."""

    text: str
    condition: str
    voice: int
    take: int

    @property
    def file(self) -> str:
        """Its name in the folder: some words for people to find it by, and a digest of all of them."""
        words = "-".join(re.findall(r"[a-z0-9]+", self.text.lower()))[:WORDS_LENGTH]
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        return f"{words}.{digest}.{self.voice}.{self.take}.{self.condition}.flac"


class ClipCache:
    """Spoken sentences as WAV files, each made when it is said first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._crowd: list[Samples] = []

    def find(self, spoken: Spoken) -> bytes:
        """A sentence as it is recorded under a condition. Blocks while it is made."""
        path = self._folder / spoken.file
        if not path.exists():
            self._make(spoken, path)
        samples, _ = soundfile.read(path, dtype="int16")
        file = io.BytesIO()
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
        return file.getvalue()

    def _make(self, spoken: Spoken, path: Path) -> None:
        if spoken.condition == "cafe" and not self._crowd:
            self._crowd = crowd_of()
        take = draw_take(spoken.text, spoken.take, voice=spoken.voice)
        samples = recorded(take, spoken.condition, self._crowd)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two people may say the same at once: each writes a file of its own, and one of them stays.
        unfinished = path.with_suffix(f".{threading.get_ident()}.part")
        soundfile.write(unfinished, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
        unfinished.replace(path)
