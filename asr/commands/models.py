"""``voicesearch models {list,pull,verify,info}``: which models are here, and are they intact."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from asr import bundle, model_name, onnx_asr_files
from asr.commands import models_pull
from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.progress import say
from asr.errors import AsrError, BundleError

MB = 1_000_000


def add_arguments(parser: ArgumentParser) -> None:
    """The four verbs about models."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all models that can be named")
    listing.add_argument(
        "--available", action="store_true", help="those of the index, which pull installs by name"
    )
    models_pull.add_index_argument(listing)
    listing.add_argument("--json", action="store_true", help="JSON list instead of a table")
    listing.set_defaults(run_models=run_list)
    info = verbs.add_parser("info", help="what a model says of itself")
    info.add_argument("model", metavar="NAME", nargs="?", default=bundle.DEFAULT_MODEL, help=model_name.FORMS)
    info.add_argument("--json", action="store_true", help="its bundle.json")
    info.set_defaults(run_models=run_info)
    check = verbs.add_parser("verify", help="compare a model's files with their digests")
    check.add_argument("models", metavar="NAME", nargs="+", help="names or folders")
    check.set_defaults(run_models=run_verify)
    fetch = verbs.add_parser("pull", help="install a model; an interrupted download goes on")
    models_pull.add_arguments(fetch)
    fetch.set_defaults(run_models=models_pull.run)


def run(args: Namespace) -> int:
    """The verb asked for."""
    code: int = args.run_models(args)
    return code


def run_list(args: Namespace) -> int:
    """A line a model; one that cannot be read is listed with what is wrong with it."""
    if args.available:
        return models_pull.list_available(args)
    rows = [describe(name, folder) for name, folder in sorted(bundle.available().items())]
    if args.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        say(f"no models in {' or '.join(map(str, bundle.search_folders()))}: voicesearch models pull SOURCE")
    else:
        for row in rows:
            print(_line(row))
    return SOME_FAILED if any("problem" in row for row in rows) else DONE


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


COMMAND = Command("models", "list, pull, verify or describe models", add_arguments, run)
