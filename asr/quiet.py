"""Keep a C library's progress bar off standard error, and nothing else that is written there meanwhile.

KenLM reports to file descriptor 2 while it reads an ARPA file, whatever Python's ``sys.stderr`` is; its wheel has
no switch for that. So the descriptor leads to a temporary file during that one call, and whatever in it is not
progress (other threads' lines, KenLM's warnings) is then written where it was meant to go, a moment late.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

STANDARD_ERROR = 2
_PROGRESS = re.compile(
    rb"(Loading the LM will be faster if you build a binary file\.|Reading [^\n]*|----5---10[-\d]*|\*+)\r?\n?"
)
_alone = Lock()  # a descriptor belongs to the process: one redirection at a time


@contextmanager
def without_kenlm_progress() -> Iterator[None]:
    """Inside, the process's standard error is held back; afterwards what is left of it without progress follows."""
    with _alone:
        try:
            real = os.dup(STANDARD_ERROR)
        except OSError:  # closed, as in some daemons: there is nothing to keep quiet
            yield
            return
        try:
            with tempfile.TemporaryFile() as held:
                os.dup2(held.fileno(), STANDARD_ERROR)
                try:
                    yield
                finally:
                    os.dup2(real, STANDARD_ERROR)
                    held.seek(0)
                    lines = held.read().splitlines(keepends=True)
                    os.write(real, b"".join(line for line in lines if not _PROGRESS.fullmatch(line)))
        finally:
            os.close(real)
