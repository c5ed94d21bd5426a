"""Deletes what is too old where there is no watch to do it (`monitoring.keeping`): a promise needs no alarms."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from anyio import to_thread

from monitoring.errors import StoreUnavailableError
from monitoring.keeping import Tidier

LOG = logging.getLogger(__name__)

EVERY_S = 30.0  # as the watch ticks


async def tidying(tidier: Tidier, every_s: float = EVERY_S) -> None:
    """Tidy now and ever again, until cancelled. While the store is away, that is logged, and tried when next due."""
    while True:
        try:
            await to_thread.run_sync(tidier.tidy, datetime.now(UTC))
        except StoreUnavailableError as error:
            LOG.warning("purge_failed", exc_info=error)
        await asyncio.sleep(every_s)
