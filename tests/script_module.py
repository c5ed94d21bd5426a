"""A script of ``scripts/``, which has no suffix, as a module that a test can call."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_script(name: str) -> ModuleType:
    """``scripts/NAME``, run as a module of that name."""
    path = Path(__file__).resolve().parent.parent / "scripts" / name
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # where dataclasses look up their annotations
    loader.exec_module(module)
    return module
