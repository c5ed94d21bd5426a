"""A real PostgreSQL server for tests, in a folder of its own, on a socket and no port. Skips where there is none."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


class Cluster:
    """A PostgreSQL server of our own: its data and its socket are in one folder."""

    def __init__(self, folder: Path, programs: Path, as_user: list[str]) -> None:
        self.folder, self._programs, self._as_user = folder, programs, as_user
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "voicesearch", "-A", "trust", "-E", "UTF8", "-N"
        )
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        # Its server keeps the output open, so the output is a file and no pipe.
        with (self.folder / "programs.log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Start it and wait until it answers; it listens on no port, and does not sync, for speed."""
        options = f"-F -k {self.folder} -c listen_addresses=''"
        log = str(self.folder / "server.log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop it as a crash would, without a word to those connected."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def url(self, name: str) -> str:
        """Of a database."""
        return f"postgresql://voicesearch@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        """An empty database, and its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def bytes_of_tables(self) -> bytes:
        """All files of all databases, as they are on the disk after a checkpoint."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return b"".join(
            path.read_bytes() for path in (self.folder / "data" / "base").rglob("*") if path.is_file()
        )


@contextmanager
def running() -> Iterator[Cluster]:
    """A running server, until the block ends. It refuses to be root: where we are, it is the system's ``postgres``."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # where Debian has it
    if not found or not (found[0] / "initdb").exists():
        pytest.skip("needs PostgreSQL")
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="voicesearch-pg-"))  # short: a socket's path has at most 107 bytes
    try:
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("needs a system user postgres, for root may not run PostgreSQL")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        server = Cluster(folder, found[0], as_user)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
