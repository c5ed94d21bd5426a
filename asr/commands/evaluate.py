"""``voicesearch evaluate MANIFEST``: error rates of a model on a manifest, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.formats import jsonl
from asr.commands.pipeline_options import add_pipeline_arguments, load_transcriber
from asr.commands.progress import progress, say
from asr.errors import OptionError
from asr.evaluate import Evaluation, Judgement, Score, Transcribe, judge, summarise
from asr.manifest import Reference, read_manifest

DEFAULT_SLICE = "set"  # used where the manifest has it


def add_arguments(parser: ArgumentParser) -> None:
    """The manifest, what to slice by, and the pipeline."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="JSON lines with audio and text")
    parser.add_argument(
        "--slice",
        action="append",
        default=[],
        metavar="KEY",
        help="also by this key (repeatable; set always is)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument("--output", type=Path, metavar="FILE.jsonl", help="write a row per utterance")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    add_pipeline_arguments(parser)


def run(args: Namespace) -> int:
    """Evaluate as asked; 1 if a clip could not be read."""
    references = read_manifest(args.manifest, args.limit)
    keys = slice_keys(references, args.slice)
    judgements = judge_all(load_transcriber(args).transcribe, references, args.output)
    evaluation = summarise(judgements, keys)
    sys.stdout.write(json.dumps(evaluation.as_dict(), indent=2) + "\n" if args.json else table(evaluation))
    failed = [judgement for judgement in judgements if judgement.failed]
    for judgement in failed:
        say(f"{judgement.reference.audio}: {type(judgement.outcome).__name__}: {judgement.outcome}")
    if failed:
        say(f"{len(failed)} of {len(judgements)} clips failed; their words count as deleted")
    return SOME_FAILED if failed else DONE


def slice_keys(references: Sequence[Reference], asked: Sequence[str]) -> list[str]:
    """``set`` where there is one, and the keys asked for. Raises OptionError for one that no row has."""
    known = {key for reference in references for key in reference.values}
    if unknown := [key for key in asked if key not in known]:
        raise OptionError(f"--slice {unknown[0]}: no row has this key; there are {', '.join(sorted(known))}")
    return list(dict.fromkeys([*([DEFAULT_SLICE] if DEFAULT_SLICE in known else []), *asked]))


def judge_all(
    transcribe: Transcribe, references: Sequence[Reference], output: Path | None
) -> list[Judgement]:
    """Judge each reference; rows go to ``output`` as they come."""
    judgements = []
    with ExitStack() as stack:
        rows = None if output is None else stack.enter_context(output.open("w", encoding="utf-8"))
        for judgement in judge(transcribe, progress(references, "clip", results_on_stdout=False)):
            judgements.append(judgement)
            if rows is not None:
                rows.write(jsonl(judgement.as_dict()))
                rows.flush()
    return judgements


def table(evaluation: Evaluation) -> str:
    """The evaluation for people: the whole first, then the slices."""
    scores = {"all": evaluation.score, **evaluation.slices}
    width = max(len(name) for name in scores)
    head = f"{'':{width}}  {'WER':>6}  {'CER':>6}  {'clips':>6}  {'words':>7}  sub/del/ins"
    head = f"{head:<{width + 56}}  {'null':>6}  {'RTF':>6}\n"
    return head + "".join(_line(name, score, width) for name, score in scores.items())


def _line(name: str, score: Score, width: int) -> str:
    edits = f"{score.words.substitutions}/{score.words.deletions}/{score.words.insertions}"
    line = (
        f"{name:{width}}  {_percent(score.wer)}  {_percent(score.cer)}  {score.n_utterances:6}  "
        f"{score.words.reference_length:7}  {edits}"
    )
    speed = "     -" if score.real_time_factor is None else f"{score.real_time_factor:6.3f}"
    return f"{line:<{width + 56}}  {_percent(score.null_rate)}  {speed}\n"


def _percent(share: float | None) -> str:
    return "     -" if share is None else f"{100 * share:5.1f}%"


COMMAND = Command("evaluate", "word error rate of a model on a manifest", add_arguments, run)
