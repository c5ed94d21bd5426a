"""``voicesearch evaluate MANIFEST``: error rates of a model on a manifest, as a table or as JSON.

``--report`` writes an error analysis to look at, ``--compare`` tests a second model against the first, and
``--check-labels`` lists labels and clips that somebody should look at.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from asr import labels
from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.pipeline_options import add_pipeline_arguments, load_transcriber
from asr.commands.progress import progress, say
from asr.errors import OptionError
from asr.evaluate import Evaluation, Judgement, Score, Transcribe, judge, summarise
from asr.formats import jsonl
from asr.manifest import Reference, read_manifest
from asr.report import page
from asr.report.analysis import Analysis, Wanted, analyse
from asr.report.versus import Versus
from asr.wer import normalise

DEFAULT_SLICE = "set"  # used where the manifest has it
REPORT_SLICE = "speaker"  # in a report too
SIGNIFICANT = 0.05


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
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write an error analysis: DIR/index.html and DIR/report.json",
    )
    parser.add_argument(
        "--compare", metavar="MODEL", help="test a second model against the first, clip by clip"
    )
    parser.add_argument(
        "--check-labels", action="store_true", help="also list labels and clips that somebody should look at"
    )
    parser.add_argument(
        "--training-texts", type=Path, metavar="FILE", help="for the report: tell words unseen in these texts"
    )
    add_pipeline_arguments(parser)


def run(args: Namespace) -> int:
    """Evaluate as asked; 1 if a clip could not be read."""
    if args.report is not None:
        page.require()
    seen = None if args.training_texts is None else words_of(args.training_texts)
    references = read_manifest(args.manifest, args.limit)
    keys = slice_keys(references, args.slice)
    judgements = judge_all(load_transcriber(args).transcribe, references, args.output)
    other = None
    if args.compare is not None:
        second = load_transcriber(Namespace(**vars(args) | {"model": args.compare, "precision": None}))
        other = judge_all(second.transcribe, references, None)
    evaluation = summarise(judgements, keys)
    values, text = evaluation.as_dict(), table(evaluation)
    findings = labels.check(judgements) if args.check_labels else None
    if findings is not None:
        values["labels"] = [finding.as_dict() for finding in findings]
        text += "\n" + findings_table(findings)
    if args.report is not None or other is not None:
        by_speaker = any(REPORT_SLICE in reference.values for reference in references)
        shown = tuple(dict.fromkeys([*keys, *([REPORT_SLICE] if by_speaker else [])]))
        analysis = analyse(judgements, Wanted(args.manifest.name, shown, seen, findings), other)
        if analysis.versus is not None:
            values["compare"] = analysis.versus.as_dict()
            text += "\n" + versus_text(analysis.versus)
        _write(analysis, args.report)
    sys.stdout.write(json.dumps(values, indent=2, allow_nan=False) + "\n" if args.json else text)
    failed = [judgement for judgement in judgements if judgement.failed]
    for judgement in failed:
        say(f"{judgement.reference.audio}: {type(judgement.outcome).__name__}: {judgement.outcome}")
    if failed:
        say(f"{len(failed)} of {len(judgements)} clips failed; their words count as deleted")
    return SOME_FAILED if failed else DONE


def words_of(path: Path) -> frozenset[str]:
    """The words of a text file, or of a manifest's texts. Raises OptionError where there are none."""
    words: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line) if line.startswith("{") else {"text": line}
            words.update(normalise(str(row.get("text", ""))).split())
    if not words:
        raise OptionError(f"--training-texts {path} has no words; expected lines of text, or a manifest")
    return frozenset(words)


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


def findings_table(findings: Sequence[labels.Finding]) -> str:
    """How many of each kind, then every finding on a line."""
    counts = ", ".join(f"{count} {kind}" for kind, count in labels.summary(findings).items())
    lines = [f"labels and clips to look at: {counts or 'none'}"]
    for found in findings:
        detail = f" ({found.detail})" if found.detail else ""
        lines.append(f"{found.kind}{detail}  {found.audio}: {found.seen!r}, expected {found.expected!r}")
    return "\n".join(lines) + "\n"


def versus_text(versus: Versus) -> str:
    """Both error rates, and whether the difference is more than chance."""
    first, second, test = versus.first, versus.second, versus.test
    rates = f"{first.model} {_percent(first.score.wer)}, {second.model} {_percent(second.score.wer)}"
    if test.p_value is None:
        return f"{rates}: no difference in {test.segments} segments with errors\n"
    verdict = "differ" if test.p_value < SIGNIFICANT else "are not told apart"
    return f"{rates}: {verdict}, p {test.p_value:.3g} (matched pairs, {test.segments} segments with errors)\n"


def _write(analysis: Analysis, folder: Path | None) -> None:
    if folder is not None:
        say(f"report: {page.write(analysis, folder)}")


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
