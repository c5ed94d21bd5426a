"""The optional packages of a report, imported when they are needed and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from asr.errors import MissingPackageError

INSTALL = "pip install 'voicesearch[report]'"


def need(module: str) -> Any:
    """The module. Raises MissingPackageError saying what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"a report needs {module.partition('.')[0]}: {INSTALL}") from error
