"""``voicesearch search``: what a clip or a typed query asks for, from a catalogue.

The decoder expects what the catalogue holds, and the index searches with all of its readings. A clip without text or
without results is told on stderr with its reason; a clip that cannot be read is named there, and the others go on.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from asr import bundle
from asr.catalog import DEFAULT_WEIGHT, check_weight
from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.pipeline_options import (
    add_hotwords_argument,
    add_model_arguments,
    add_stage_arguments,
    load_transcriber,
)
from asr.commands.progress import progress, say
from asr.commands.transcribe import NULL_MESSAGES, Transcribe, attempt
from asr.errors import OptionError
from asr.formats import json_text, jsonl
from asr.pronounce import pronouncer
from asr.transcript import Reading, Transcript
from serving import catalogs, decoder_catalogs
from serving.search import NothingFound, Result, SearchIndex, nothing_found, require_phones

FORMATS = ("txt", "json", "jsonl")
NOTHING_MESSAGES = {
    NothingFound.EMPTY_QUERY: "no words to search for",
    NothingFound.NO_MATCH: "nothing in the catalogue is near enough",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Audio or text, catalogues, output and pipeline."""
    parser.add_argument("audio", nargs="*", metavar="AUDIO", help="audio files; - is standard input")
    parser.add_argument(
        "--text", action="append", metavar="QUERY", help="a typed query instead; may be repeated"
    )
    parser.add_argument(
        "--catalog",
        action="append",
        metavar="NAME|FILE",
        help=f"what is searched, may be repeated: {', '.join(catalogs.names())}, or JSON lines with id, title, "
        "aliases, facets, popularity (default: all of the named)",
    )
    parser.add_argument(
        "--catalog-weight",
        type=float,
        default=DEFAULT_WEIGHT,
        metavar="PROBABILITY",
        help="that a clip asks for an item (default %(default)s)",
    )
    parser.add_argument("-k", type=int, default=5, help="results at most (default %(default)s)")
    parser.add_argument(
        "-f", "--output_format", "--output-format", choices=FORMATS, default="txt", help="default %(default)s"
    )
    parser.add_argument(
        "--json", dest="output_format", action="store_const", const="json", help="same as -f json"
    )
    parser.add_argument("--why", action="store_true", help="JSON: what each result rests on")
    add_hotwords_argument(parser)
    add_model_arguments(parser)
    add_stage_arguments(parser)


def run(args: Namespace) -> int:
    """Search as asked."""
    if bool(args.audio) == bool(args.text):
        raise OptionError("search needs audio files, or --text QUERY: one of the two")
    if args.k < 1:
        raise OptionError(f"-k is {args.k}; at least one result must be wanted")
    check_weight(args.catalog_weight)
    sources = [catalogs.find(name) for name in args.catalog or catalogs.names()]
    require_phones(args.model)
    folder = bundle.find(args.model)
    index = SearchIndex(catalogs.read(sources), pronouncer(folder, bundle.read(folder)))
    if args.text:
        rows = [_typed(index, text, args) for text in args.text]
        _print(rows, args.output_format)
        return DONE
    decoder = decoder_catalogs.prepare(sources, folder, weight=args.catalog_weight)
    transcriber = load_transcriber(Namespace(**{**vars(args), "catalog": decoder}))
    return _search_files(index, partial(transcriber.transcribe, hotwords=args.hotwords), args)


def _search_files(index: SearchIndex, transcribe: Transcribe, args: Namespace) -> int:
    rows, failed = [], 0
    for name in progress(args.audio, "clip", results_on_stdout=True):
        outcome = attempt(transcribe, name)
        if isinstance(outcome, Transcript):
            row = _heard(index, name, outcome, args)
        else:
            failed += 1
            say(f"{name}: {type(outcome).__name__}: {outcome}")
            row = {"audio": name, "error": {"type": type(outcome).__name__, "message": str(outcome)}}
        rows.append(row)
        if args.output_format != "json":  # a list is printed as a whole
            _print([row], args.output_format)
    if args.output_format == "json":
        _print(rows, "json")
    if failed and len(args.audio) > 1:
        say(f"{failed} of {len(args.audio)} clips failed")
    return SOME_FAILED if failed else DONE


def _heard(index: SearchIndex, name: str, transcript: Transcript, args: Namespace) -> dict[str, Any]:
    """The row of a clip: what was heard, and what that found."""
    readings = transcript.readings or (Reading(transcript.text, 1.0),)
    results = index.search(readings, args.k) if transcript.text else ()
    if transcript.null_reason is not None:
        say(f"{name}: {NULL_MESSAGES[transcript.null_reason]} ({transcript.null_reason})")
    heard = transcript.as_dict()
    return {
        "audio": name,
        "transcript": {key: heard[key] for key in ("text", "confidence", "words", "null_reason")},
        **_found(f"{name}: {transcript.text!r}" if transcript.text else "", readings, results, args),
        "model": transcript.model,
    }


def _typed(index: SearchIndex, text: str, args: Namespace) -> dict[str, Any]:
    """The row of a typed query."""
    readings = (Reading(text, 1.0),)
    return {"query": text, **_found(repr(text), readings, index.search(readings, args.k), args)}


def _found(
    name: str, readings: Sequence[Reading], results: Sequence[Result], args: Namespace
) -> dict[str, Any]:
    """Results as JSON, and why there are none, which is said on stderr too, where ``name`` is not empty."""
    reason = None if results else nothing_found(readings)
    if reason is not None and name:
        say(f"{name}: {NOTHING_MESSAGES[reason]} ({reason})")
    rows = [result.as_dict() | ({"why": result.why.as_dict()} if args.why else {}) for result in results]
    return {"results": rows, "nothing_found": reason}


def _print(rows: Sequence[dict[str, Any]], output_format: str) -> None:
    """Rows on stdout: one JSON object alone, several as a list; or a table each."""
    if output_format == "json":
        sys.stdout.write(json_text(rows[0] if len(rows) == 1 else list(rows)))
    else:
        sys.stdout.writelines(jsonl(row) if output_format == "jsonl" else _table(row) for row in rows)
    sys.stdout.flush()


def _table(row: dict[str, Any]) -> str:
    """What was heard or typed, then a line per result: score, title, id."""
    if "error" in row:
        return ""
    head = (
        row["query"] if "query" in row else f"{Path(row['audio']).name}: {row['transcript']['text']}".rstrip()
    )
    width = max((len(result["title"]) for result in row["results"]), default=0)
    lines = [
        f"  {result['score']:.2f}  {result['title']:{width}}  {result['id']}" for result in row["results"]
    ]
    return "\n".join([head, *lines]) + "\n"


COMMAND = Command("search", "find what a clip asks for in a catalogue", add_arguments, run)
