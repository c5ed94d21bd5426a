"""``voicesearch models {list,pull,verify,info}``: which models are here, and are they intact."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from asr import bundle, model_index, model_name, onnx_asr_files
from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.progress import say
from asr.errors import AsrError, BundleError, OptionError
from asr.model_index import Entry, is_address
from asr.pull import NAME, PullOptions, pull

MB = 1_000_000
INDEX_VARIABLE = "VOICESEARCH_MODEL_INDEX"
INDEX_FILE = "models.toml"


def add_arguments(parser: ArgumentParser) -> None:
    """The four verbs about models."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all models that can be named")
    listing.add_argument(
        "--available", action="store_true", help="those of the index, which pull installs by name"
    )
    _add_index_argument(listing)
    listing.add_argument("--json", action="store_true", help="JSON list instead of a table")
    listing.set_defaults(run_models=run_list)
    info = verbs.add_parser("info", help="what a model says of itself")
    info.add_argument("model", metavar="NAME", nargs="?", default=bundle.DEFAULT_MODEL, help="name or folder")
    info.add_argument("--json", action="store_true", help="its bundle.json")
    info.set_defaults(run_models=run_info)
    check = verbs.add_parser("verify", help="compare a model's files with their digests")
    check.add_argument("models", metavar="NAME", nargs="+", help="names or folders")
    check.set_defaults(run_models=run_verify)
    fetch = verbs.add_parser("pull", help="install a model; an interrupted download goes on")
    fetch.add_argument(
        "source",
        metavar="SOURCE",
        help="path or address of a .zip or .tar.gz, a name in the index, or onnx-asr:NAME",
    )
    _add_index_argument(fetch)
    fetch.add_argument("--sha256", metavar="DIGEST", help="of the archive; needed for plain http")
    fetch.add_argument("--name", help="install under this name (default: the model's own)")
    fetch.add_argument("--precision", help="of onnx-asr:NAME: int8 ... as its publisher offers")
    fetch.add_argument("--force", action="store_true", help="replace an installed model of that name")
    fetch.set_defaults(run_models=run_pull)


def _add_index_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--index",
        metavar="PLACE",
        help=f"path or https address of the models known by name (default: ${INDEX_VARIABLE}, else {INDEX_FILE} "
        "beside the installed models)",
    )


def run(args: Namespace) -> int:
    """The verb asked for."""
    code: int = args.run_models(args)
    return code


def run_list(args: Namespace) -> int:
    """A line a model; one that cannot be read is listed with what is wrong with it."""
    if args.available:
        return _list_available(args)
    rows = [describe(name, folder) for name, folder in sorted(bundle.available().items())]
    if args.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        say(f"no models in {' or '.join(map(str, bundle.search_folders()))}: voicesearch models pull SOURCE")
    else:
        for row in rows:
            print(_line(row))
    return SOME_FAILED if any("problem" in row for row in rows) else DONE


def _list_available(args: Namespace) -> int:
    place, index = _index(args)
    if args.json:
        print(json.dumps([entry.as_dict() for entry in index.values()], indent=2))
    for entry in () if args.json else index.values():
        size = "?" if entry.size is None else f"{entry.size / MB:.1f}"
        languages = ",".join(entry.languages) or "-"
        print(f"{entry.name:20}  {size:>7} MB  {languages:8}  {entry.licence or 'no licence stated'}")
    if not index:
        say(f"no models in {place}")
    return DONE


def _index(args: Namespace) -> tuple[str, dict[str, Entry]]:
    """Where the index is, and what it holds. Raises OptionError where nobody said where it is."""
    beside = bundle.models_home() / INDEX_FILE
    place = args.index or os.environ.get(INDEX_VARIABLE) or (str(beside) if beside.is_file() else None)
    if place is None:
        raise OptionError(
            f"no index of models: give --index, set {INDEX_VARIABLE} or write {beside}; a path or an address of an "
            "archive needs none"
        )
    return place, model_index.read(place)


def describe(name: str, folder: Path) -> dict[str, Any]:
    """Name, version, size on disk, measured word error rate and place of a bundle, or its problem."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    row: dict[str, Any] = {"name": name, "size_bytes": size, "place": str(folder)}
    try:
        info = bundle.read(folder)
    except BundleError as error:
        return row | {"problem": str(error)}
    return row | {"version": info.version, "language": info.language, "wer": info.evaluation.get("wer")}


def _line(row: dict[str, Any]) -> str:
    if "problem" in row:
        return f"{row['name']:20}  unusable: {row['problem']}"
    wer = "WER      -" if row["wer"] is None else f"WER {100 * row['wer']:5.1f}%"
    return f"{row['name']:20}  {row['version']}  {row['size_bytes'] / MB:7.1f} MB  {wer}  {row['place']}"


def run_info(args: Namespace) -> int:
    """What ``bundle.json`` says, in short or as it stands."""
    if onnx_asr_files.is_named(args.model):
        return _info_of_others(args)
    folder = bundle.find(args.model)
    info = bundle.read(folder)
    if args.json:
        sys.stdout.write((folder / bundle.MANIFEST).read_text(encoding="utf-8").rstrip("\n") + "\n")
        return DONE
    row = describe(info.name, folder)
    wer = "not evaluated" if row["wer"] is None else f"{100 * row['wer']:.1f} % word error rate"
    decoder = info.decoder
    for label, value in (
        ("model", info.identity),
        ("place", folder),
        ("language", info.language),
        ("licence", info.licence),
        ("size", f"{row['size_bytes'] / MB:.1f} MB in {len(info.files) + 1} files"),
        ("precisions", ", ".join(f"{name} ({file})" for name, file in info.models.items())),
        ("evaluation", wer),
        ("detector", f"{info.frontend.vad}, speech at {info.frontend.target_level_dbfs:g} dBFS"),
        (
            "decoder",
            f"{decoder.lexicon}, {decoder.lm or 'no language model'}, "
            f"{decoder.g2p or 'no pronunciations of other words'}, beam {decoder.options.beam_size}",
        ),
    ):
        print(f"{label:11} {value}")
    for name, score in info.evaluation.get("slices", {}).items():
        if score.get("wer") is not None:
            print(f"  {name:20} {100 * score['wer']:5.1f} %")
    return DONE


def _info_of_others(args: Namespace) -> int:
    """What is known of a model of onnx-asr."""
    info = onnx_asr_files.describe(args.model)
    size = sum(path.stat().st_size for path in model_name.files(args.model))
    row = {
        "model": info.identity,
        "language": info.language,
        "licence": info.licence,
        "size_bytes": size,
        "files": info.files,
    }
    if args.json:
        print(json.dumps(row, indent=2))
        return DONE
    for label in ("model", "language", "licence"):
        print(f"{label:11} {row[label]}")
    print(f"{'size':11} {size / MB:.1f} MB in {len(info.files)} files")
    return DONE


def run_verify(args: Namespace) -> int:
    """Check every model named; those that fail are named on stderr."""
    failed = 0
    for model in args.models:
        try:
            folder = bundle.find(model)
            info = bundle.read(folder)
            bundle.verify(folder, info)
            print(f"{info.identity}: {len(info.files)} files as recorded in {folder}")
        except AsrError as error:
            failed += 1
            say(f"{model}: {type(error).__name__}: {error}")
    return SOME_FAILED if failed else DONE


def run_pull(args: Namespace) -> int:
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
    place, index = _index(args)
    if args.source not in index:
        known = ", ".join(sorted(index)) or "none"
        raise OptionError(f"{args.source!r} is no file, and no model in {place}, which has: {known}")
    return index[args.source]


COMMAND = Command("models", "list, pull, verify or describe models", add_arguments, run)
