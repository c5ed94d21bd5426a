"""Options that choose and set up the pipeline, shared by the verbs that run it.

An option that is not given keeps the bundle's own setting.
"""

from __future__ import annotations

import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from asr import bundle, model_name
from asr.commands.progress import say
from asr.errors import OptionError
from asr.frontend import VAD_NAMES
from asr.hotwords import Hotwords
from asr.transcribe import Transcriber
from asr.vad import VadOptions

MODEL_HELP = f"{model_name.FORMS} (default %(default)s)"
VAD_HELP = {
    "threshold": "speech starts at this probability",
    "neg_threshold": "speech ends below this probability",
    "min_speech_duration_ms": "shorter speech is dropped",
    "max_speech_duration_s": "longer speech is cut",
    "min_silence_duration_ms": "shorter pauses do not end speech",
    "speech_pad_ms": "kept on both sides of speech",
}


def add_model_arguments(parser: ArgumentParser) -> None:
    """Which model, and on what it runs."""
    parser.add_argument("--model", default=bundle.DEFAULT_MODEL, help=MODEL_HELP)
    parser.add_argument("--precision", help="int8, fp32 ... as the model has them (default: its first)")
    parser.add_argument(
        "--device", choices=tuple(bundle.PROVIDERS), default="cpu", help="default %(default)s"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the model (default %(default)s)")


def add_pipeline_arguments(parser: ArgumentParser) -> None:
    """The model, the speech detector and the decoder."""
    add_model_arguments(parser)
    add_stage_arguments(parser)
    parser.add_argument(
        "--catalog",
        type=Path,
        metavar="FOLDER",
        help="prefer what this catalogue holds (voicesearch catalog build)",
    )


def add_stage_arguments(parser: ArgumentParser) -> None:
    """The speech detector and the search of the decoder."""
    parser.add_argument("--beam-size", type=int, help="readings kept by the search")
    parser.add_argument("--vad", choices=VAD_NAMES, help="speech detector")
    for name, text in VAD_HELP.items():
        kind = int if name.endswith("_ms") else float
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=name.upper(), help=text)


def add_hotwords_argument(parser: ArgumentParser) -> None:
    """What the caller expects to hear."""
    parser.add_argument(
        "--hotwords",
        type=_hotwords,
        metavar="PHRASES",
        help='phrases to listen for, "play jazz, lights off", or @FILE with one a line',
    )


def _hotwords(text: str) -> Hotwords:
    try:
        return Hotwords.parse(text)
    except OptionError as error:
        raise ArgumentTypeError(str(error)) from error


def load_transcriber(args: Namespace) -> Transcriber:
    """The transcriber that the arguments ask for. Raises what `Transcriber.load` raises, and OptionError."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transcriber = Transcriber.load(**chosen(args))
    for warning in caught:  # a person needs the message, not the line of code
        say(f"warning: {warning.message}")
    return transcriber


def chosen(args: Namespace) -> dict[str, Any]:
    """What `Transcriber.load` takes. Raises BundleError for a model that is not there, and OptionError."""
    info = model_name.describe(args.model, args.precision)
    given = _given(args, tuple(field.name for field in fields(VadOptions)))
    frontend = replace(
        info.frontend, vad_options=replace(info.frontend.vad_options, **given), **_given(args, ("vad",))
    )
    return {
        "model": args.model,
        "precision": args.precision,
        "device": args.device,
        "threads": args.threads,
        "frontend": frontend,
        "decoder": replace(info.decoder.options, **_given(args, ("beam_size",))),
        "catalog": getattr(args, "catalog", None),
    }


def _given(args: Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}
