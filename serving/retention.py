"""Audio that is kept: only where the client says ``retain=true`` and the operator allows it, and never for longer.

    STATE/audio/2026-11-21/REQUEST_ID.wav      the bytes as they came, for their owner's eyes (mode 0600)

A file's age is that of its last change. An operator who allows less, or nothing, has what is older deleted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anyio import to_thread

from serving.clip_format import extension

LOG = logging.getLogger(__name__)

FOLDER = "audio"
PURGE_EVERY_S = 600.0
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # as `serving.headers` gives and takes them


@dataclass(frozen=True, slots=True)
class AudioStore:
    """Clips under ``folder``, each kept for ``days``; 0 keeps none."""

    folder: Path
    days: float

    def keep(self, request_id: str, content: bytes, now: datetime) -> datetime | None:
        """Keep a clip; until when, or None where it is not kept: it may not be, or there is one of this id today.

        Raises OSError where the disk will not have it.
        """
        if self.days <= 0:
            return None
        assert SAFE_ID.fullmatch(request_id), f"request id {request_id!r}"
        folder = self.folder / now.strftime("%Y-%m-%d")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{request_id}.{extension(content)}"
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except FileExistsError:  # ids are the clients' to choose: nobody overwrites what another sent
            return None
        try:
            with os.fdopen(file, "wb") as opened:
                opened.write(content)
        except OSError:
            path.unlink()  # half a clip is none
            raise
        return now + timedelta(days=self.days)

    def purge(self, now: datetime) -> int:
        """Delete what is too old, and folders that this empties; how many files.

        Raises OSError where one cannot be deleted, after all that can be.
        """
        oldest = now.timestamp() - self.days * 86_400.0
        purged = 0
        failure: OSError | None = None
        for path in self._files():
            try:
                if self.days <= 0 or path.stat().st_mtime < oldest:
                    path.unlink()
                    purged += 1
            except FileNotFoundError:  # erased at this moment
                continue
            except OSError as error:
                failure = error
        for folder in self.folder.glob("*/"):
            with suppress(OSError):  # not empty
                folder.rmdir()
        if failure is not None:
            raise failure
        return purged

    def erase(self, *request_ids: str) -> int:
        """Delete the clips of requests, on whichever day they came; how many files.

        Raises OSError where one cannot be deleted; then it is still there, and others may be gone.
        """
        wanted = frozenset(request_ids)
        found = [path for path in self._files() if path.stem in wanted]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.glob("*/*") if path.is_file()]


def store(state_folder: Path | None, days: float) -> AudioStore | None:
    """The store of these settings. None without a folder: then nothing can be kept."""
    return None if state_folder is None else AudioStore(state_folder / FOLDER, days)


async def purging(kept: AudioStore, every_s: float = PURGE_EVERY_S) -> None:
    """Purge now and ever again, until cancelled. A disk that fails is logged, and asked again next time."""
    while True:
        try:
            await to_thread.run_sync(kept.purge, datetime.now(UTC))
        except (
            OSError
        ) as error:  # a task that ended here would keep everything for ever, and nobody would know
            LOG.error("purge_failed", exc_info=error)
        await asyncio.sleep(every_s)
