"""The pipeline of a job as a value: it travels to the workers, and tells whether rows came from the same one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asr import model_name
from asr.audio import DEFAULT_LIMITS, AudioLimits
from asr.catalog import MANIFEST as CATALOG_MANIFEST
from asr.decode import DecoderOptions
from asr.digest import file_digest
from asr.errors import BundleError, CatalogError, OptionError
from asr.frontend import FrontendOptions
from asr.hotwords import Hotwords
from asr.transcribe import Transcriber

DAY_S = 86_400.0
# A day of 48 kHz stereo in 24 bits is 86,400 * 48,000 * 2 * 3 = 2.5e10 bytes.
MAX_BYTES = 1 << 35


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What `Transcriber.load` takes, and what a clip may cost."""

    model: str | Path
    frontend: FrontendOptions
    decoder: DecoderOptions
    precision: str | None = None
    device: str = "cpu"
    threads: int = 1
    catalog: Path | None = None
    hotwords: Hotwords | None = None
    max_duration_s: float = DAY_S

    def __post_init__(self) -> None:
        if not 0 < self.max_duration_s < math.inf:  # NaN too
            raise OptionError(
                f"max_duration_s is {self.max_duration_s}; expected a number of seconds above 0"
            )

    @property
    def limits(self) -> AudioLimits:
        """What a file may be. Bytes and seconds cost time here, not memory."""
        return replace(DEFAULT_LIMITS, max_duration_s=self.max_duration_s, max_bytes=MAX_BYTES)

    def resolved(self) -> Pipeline:
        """The same with absolute paths: workers have a working folder of their own. Raises BundleError."""
        catalog = None if self.catalog is None else self.catalog.resolve()
        return replace(self, model=model_name.resolved(self.model), catalog=catalog)

    def load(self) -> Transcriber:
        """The transcriber, ready: a hotword that nobody can say is an OptionError here. See `Transcriber.load`."""
        transcriber = Transcriber.load(
            self.model,
            precision=self.precision,
            device=self.device,
            threads=self.threads,
            frontend=self.frontend,
            decoder=self.decoder,
            catalog=self.catalog,
        )
        if self.hotwords is not None:
            transcriber.reader.check(self.hotwords)
        return transcriber

    def settings(self, version: str) -> dict[str, Any]:
        """All that decides what a row says, for JSON: two jobs with the same settings may share rows.

        ``version`` is voicesearch's own. Threads are left out, as are workers: results do not depend on them.
        Raises BundleError and CatalogError for what cannot be read.
        """
        info = model_name.describe(self.model, self.precision)
        precision = self.precision or next(iter(info.models), None)
        if precision not in info.models:
            raise BundleError(f"{info.identity} has no {precision!r} model; it has {', '.join(info.models)}")
        return {
            "voicesearch": version,
            "model": info.identity,
            "precision": precision,
            "device": self.device,
            "frontend": self.frontend.as_dict(),
            "decoder": asdict(self.decoder),
            "catalog": _catalog_digest(self.catalog),
            "hotwords": None if self.hotwords is None else asdict(self.hotwords),
            "max_duration_s": self.max_duration_s,
        }


def _catalog_digest(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        return file_digest(folder / CATALOG_MANIFEST)
    except FileNotFoundError as error:
        raise CatalogError(f"{folder} is no catalogue: it has no {CATALOG_MANIFEST}") from error
