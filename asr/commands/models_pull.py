"""``voicesearch models pull``: by path, by address, by name in an index, or by the ways of ``onnx-asr``."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from asr import bundle, model_index, onnx_asr_files
from asr.commands.command import DONE
from asr.commands.progress import say
from asr.errors import OptionError
from asr.http_get import shown
from asr.model_index import NAME, Entry, is_address
from asr.pull import PullOptions, pull

MB = 1_000_000
INDEX_VARIABLE = "VOICESEARCH_MODEL_INDEX"
INDEX_FILE = "models.toml"


def add_arguments(parser: ArgumentParser) -> None:
    """What to install, and as what."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="path or address of a .zip or .tar.gz, a name in the index, or onnx-asr:NAME",
    )
    add_index_argument(parser)
    parser.add_argument("--sha256", metavar="DIGEST", help="of the archive; needed for plain http")
    parser.add_argument("--name", help="install under this name (default: the model's own)")
    parser.add_argument("--precision", help="of onnx-asr:NAME: int8 ... as its publisher offers")
    parser.add_argument("--force", action="store_true", help="replace an installed model of that name")


def add_index_argument(parser: ArgumentParser) -> None:
    """Where the models are told that have names."""
    parser.add_argument(
        "--index",
        metavar="PLACE",
        help=f"path or https address of the models known by name (default: ${INDEX_VARIABLE}, else {INDEX_FILE} "
        "beside the installed models)",
    )


def run(args: Namespace) -> int:
    """Install and say where."""
    if onnx_asr_files.is_named(args.source):
        return _pull_from_hub(args)
    source, options = args.source, PullOptions(args.sha256, args.name, args.force)
    if not is_address(source) and NAME.fullmatch(source) and not Path(source).is_file():
        entry = _entry(args)
        source, name, sha256 = entry.source, args.name or entry.name, args.sha256 or entry.sha256
        options = replace(options, name=name, sha256=sha256, size=entry.size)
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def advance(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = pull(source, bundle.models_home(), options, advance)
    print(f"{bundle.read(folder).identity} installed in {folder}")
    return DONE


def _pull_from_hub(args: Namespace) -> int:
    """A model of others, by the library's own ways."""
    if args.sha256 or args.name or args.force:
        raise OptionError(f"{args.source} is kept by onnx-asr: --sha256, --name and --force are for archives")
    onnx_asr_files.fetch(args.source, args.precision)
    print(f"{onnx_asr_files.describe(args.source, args.precision).identity} installed")
    return DONE


def _entry(args: Namespace) -> Entry:
    """What the index says of the name that is to be pulled."""
    place = _index_place(args)
    if place is None:
        raise OptionError(
            f"{args.source!r} is no file, and as a name it needs an index of models: {_no_index()}"
        )
    index = model_index.read(place)
    if args.source not in index:
        known = ", ".join(sorted(index)) or "none"
        raise OptionError(f"{args.source!r} is no file, and no model in {shown(place)}, which has: {known}")
    return index[args.source]


def list_available(args: Namespace) -> int:
    """A line for each model of the index."""
    place = _index_place(args)
    if place is None:
        raise OptionError(f"no index of models: {_no_index()}")
    index = model_index.read(place)
    if args.json:
        print(json.dumps([entry.as_dict() for entry in index.values()], indent=2))
    for entry in () if args.json else index.values():
        size = "?" if entry.size is None else f"{entry.size / MB:.1f}"
        languages = ",".join(entry.languages) or "-"
        print(f"{entry.name:20}  {size:>7} MB  {languages:8}  {entry.licence or 'no licence stated'}")
    if not index:
        say(f"no models in {shown(place)}")
    return DONE


def _index_place(args: Namespace) -> str | None:
    """Where the index is, if somebody said so."""
    beside = bundle.models_home() / INDEX_FILE
    return args.index or os.environ.get(INDEX_VARIABLE) or (str(beside) if beside.is_file() else None)


def _no_index() -> str:
    return (
        f"give --index, set {INDEX_VARIABLE} or write {bundle.models_home() / INDEX_FILE}; a path or an "
        "address of an archive needs none"
    )
