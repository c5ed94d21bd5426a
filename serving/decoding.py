"""A clip in any format becomes samples, off the event loop: by `asr.audio`, or by FFmpeg what that does not read.

The two take turns of their own. FFmpeg decodes one clip at a time and may take seconds for it, and who waits for it
must hold no thread of those that decode: a slow container would stop everybody's clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asr import audio
from asr.audio import AudioLimits, Samples
from asr.errors import UnsupportedAudioError
from serving.clip_format import MATROSKA, is_mp4
from serving.sandbox import Sandbox
from serving.turns import Turns

# How many may wait, each with its body in memory.
WAITING_CLIPS = 64
WAITING_CONTAINERS = 16  # one is decoded at a time, mostly in some milliseconds


@dataclass(frozen=True, slots=True)
class Decoders:
    """Threads that decode, and the sandbox of what they leave to FFmpeg."""

    clips: Turns
    containers: Turns
    sandbox: Sandbox

    async def decode(self, content: bytes, limits: AudioLimits) -> Samples:
        """Float32, ``(n,)``, 16 kHz. Raises AudioError, OverloadedError."""
        if not is_mp4(content):
            try:
                return await self.clips.run(partial(audio.decode, content, limits))
            except UnsupportedAudioError:
                if not content.startswith(MATROSKA):
                    raise
        return await self.containers.run(partial(self.sandbox.decode, content, limits))


def decoders(threads: int, sandbox: Sandbox) -> Decoders:
    """As many ``threads`` for what `asr.audio` reads; one, which only waits, for the ``sandbox``."""
    return Decoders(
        Turns(threads, WAITING_CLIPS, "clips wait to be decoded"),
        Turns(1, WAITING_CONTAINERS, "clips in containers wait to be decoded"),
        sandbox,
    )
