"""What an operator may choose. Read once, at the composition root: flags of ``serve`` over ``VOICESEARCH_*`` over it.

Every limit that keeps one client from spending what others need stands here, with its unit in its name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asr.bundle import DEFAULT_MODEL
from monitoring.keeping import Keeping


def usable_cores() -> int:
    """Cores that this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _listed(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many of a server there are: at least, and at most when many ask."""

    least: int
    most: int

    @classmethod
    def parse(cls, text: object) -> Replicas:
        """``2``, or ``1:4``. Raises ValueError."""
        if isinstance(text, cls):
            return text
        least, colon, most = str(text).partition(":")
        if not (least.isdecimal() and (most.isdecimal() if colon else True)):
            raise ValueError("expected MIN or MIN:MAX, such as 2 or 1:4")
        found = cls(int(least), int(most if colon else least))
        if not 1 <= found.least <= found.most <= 1_000:
            raise ValueError("expected 1 <= MIN <= MAX <= 1000")
        return found

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}:{self.most}"


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]  # in the environment: a,b,c


class Settings(BaseSettings):
    """Settings of one server."""

    model_config = SettingsConfigDict(
        env_prefix="VOICESEARCH_", frozen=True, extra="forbid", protected_namespaces=()
    )

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    wyoming_port: int | None = Field(None, ge=0, le=65_535)
    insecure: bool = False  # answer on other addresses than loopback without keys
    keys: Path | None = None  # database of API keys; absent: loopback only, no keys
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None  # HOST:PORT or auto; None: a cluster of this machine alone
    replicas: Annotated[Replicas, BeforeValidator(Replicas.parse), NoDecode] = Replicas(1, 1)  # on Ray

    allowed_origins: Names = ()  # web pages of others that may call (CORS)

    model: str = DEFAULT_MODEL
    model_aliases: Names = ()  # other names that clients may ask for it by, such as whisper-1
    device: str = "cpu"
    workers: int = Field(default_factory=usable_cores, ge=1, le=256)  # processes, one inference thread each
    catalogs: Names = ("books", "cafe")  # names of shipped ones, or files; none: no search
    catalog_weight: float = Field(0.5, gt=0.0, lt=1.0)

    # Of the queue and the inference. What is expected to take longer is refused at once.
    latency_budget_ms: int = Field(150, ge=20, le=60_000)
    max_clip_s: float = Field(60.0, gt=0.0, le=3_600.0)
    max_upload_bytes: int = Field(25 << 20, ge=1_024)  # OpenAI's limit
    upload_timeout_s: float = Field(30.0, gt=0.0)
    upload_stall_s: float = Field(5.0, gt=0.0)  # without a byte
    max_streams: int = Field(64, ge=0)
    stream_idle_s: float = Field(30.0, gt=0.0)
    max_stream_s: float = Field(600.0, gt=0.0)
    audio_s_per_minute: float = Field(1_800.0, gt=0.0)  # of each key
    drain_s: float = Field(10.0, ge=0.0)  # how long a shutdown waits for what was accepted

    store: str | None = None  # URL of the event store; None: SQLite in state_folder
    state_folder: Path | None = None  # None: nothing is kept beyond the process
    keep_days: float = Field(90.0, ge=0.0, le=36_500.0)  # records, events, outcomes; 0: for ever
    keep_counts_days: float = Field(400.0, ge=0.0, le=36_500.0)  # nobody's in particular; 0: for ever
    retain_audio_days: float = Field(0.0, ge=0.0)  # 0: never, even where a client says retain=true
    watch: bool = True  # judge alarms; off: count and keep only
    rules: Path | None = None  # thresholds of alarms; None: the shipped ones, monitoring/alarms/rules.toml
    alarm_webhook: str | None = None  # is sent alarms as JSON
    alertmanager: str | None = None  # URL of Prometheus' Alertmanager
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"  # auto: console on a terminal

    @property
    def keeping(self) -> Keeping:
        """For how long the event store keeps what."""
        return Keeping.of_days(self.keep_days, self.keep_counts_days)

    @property
    def audio_days(self) -> float:
        """For how long audio is kept: never for longer than its record, without which nobody could erase it."""
        return min(self.retain_audio_days, self.keep_days or self.retain_audio_days)
