"""Where the files of a clip go: the folders of the inputs mirrored, and no two clips in one place."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

UP = "__up__"  # stands for "..": nothing may lie outside the folder


def places(names: Iterable[str]) -> dict[str, str]:
    """For each clip the path of its files without their suffix, as whisper names them: ``a/b.wav`` -> ``a/b``.

    Where two would share one (``b.wav`` and ``b.mp3``) both keep their whole names, and, where even that is taken,
    some digits of a digest of the name are added. It depends on the set of names alone.
    """
    ways = [(name, _ways(name)) for name in names]
    steps = dict.fromkeys((name for name, _ in ways), 0)
    while True:
        chosen = {name: choices[steps[name]] for name, choices in ways}
        taken = Counter(chosen.values())
        again = [name for name, place in chosen.items() if taken[place] > 1 and steps[name] < 2]
        if not again:
            return chosen
        for name in again:
            steps[name] += 1


def _ways(name: str) -> tuple[str, str, str]:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # a manifest can hold texts that no file is called by
        name = name.encode(errors="backslashreplace").decode()
    name = name.replace("\0", "_")
    whole = PurePosixPath(*[UP if part == ".." else part for part in PurePosixPath(name.lstrip("/")).parts])
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()
    # Not with_suffix(""), which refuses "..a": all that is left of it is a point.
    return str(whole).removesuffix(whole.suffix), str(whole), f"{whole}-{digest[:12]}"
