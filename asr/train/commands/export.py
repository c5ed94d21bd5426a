"""``voicesearch export``: a checkpoint becomes a model bundle."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from asr.bundle import MANIFEST, DecoderSettings, read
from asr.commands.command import DONE, Command
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.frontend import FrontendOptions
from asr.train import checkpoint
from asr.train.export import convert_fp16, export_fp32, quantise_int8
from asr.train.lexicon import TOKENS
from asr.train.publish import Release, describe_training, publish

PRECISIONS = ("int8", "fp32", "fp16")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="from voicesearch train")
    parser.add_argument("folder", type=Path, help="bundle to write")
    parser.add_argument("--name", default="en-small", help="of the bundle (default %(default)s)")
    parser.add_argument("--lexicon", type=Path, required=True, help="from scripts/build_language_model")
    parser.add_argument("--lm", type=Path, help="KenLM file; without one all words are equally likely")
    parser.add_argument(
        "--g2p", type=Path, help="from scripts/train_g2p: pronounces words outside the lexicon"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["int8"],
        help="the first is the bundle's default (default int8)",
    )
    parser.add_argument("--corpora", type=Path, nargs="*", default=[], help="what the model was trained on")
    parser.add_argument(
        "--blend",
        nargs=2,
        metavar=("CHECKPOINT", "SHARE"),
        help="mix in this share of another checkpoint's weights: of the one that this run began with",
    )
    parser.add_argument("--checkpoint-fp16", type=Path, help="also write the weights in half precision here")


def _run(args: argparse.Namespace) -> int:
    state = checkpoint.load(args.checkpoint)
    if args.blend:
        other, share = args.blend
        state = checkpoint.blend(state, checkpoint.load(Path(other)), float(share))
    model = checkpoint.build(state)
    decoder = DecoderSettings(
        lexicon=args.lexicon.name,
        lm=None if args.lm is None else args.lm.name,
        options=DecoderOptions(),
        calibration=Calibration(),
        g2p=None if args.g2p is None else args.g2p.name,
    )
    if (args.folder / MANIFEST).exists():  # a new checkpoint in an old bundle keeps what was tuned on dev
        tuned = read(args.folder).decoder
        decoder = replace(decoder, options=tuned.options, calibration=tuned.calibration)
    release = Release(
        name=args.name,
        language="en",
        tokens=TOKENS,
        frontend=FrontendOptions(),
        decoder=decoder,
        licence="Apache-2.0; trained on CC-BY-4.0 and other open speech, see training.sets for attribution",
        training=describe_training(model, args.corpora),
    )
    with tempfile.TemporaryDirectory() as temporary:
        made = {precision: Path(temporary) / f"{precision}.onnx" for precision in PRECISIONS}
        export_fp32(model, made["fp32"])
        if "int8" in args.precision:
            quantise_int8(made["fp32"], made["int8"])
        if "fp16" in args.precision:
            convert_fp16(made["fp32"], made["fp16"])
        words = [path for path in (args.lexicon, args.lm, args.g2p) if path is not None]
        publish(release, {precision: made[precision] for precision in args.precision}, words, args.folder)
    if args.checkpoint_fp16 is not None:
        args.checkpoint_fp16.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save_half(args.checkpoint_fp16, model)
    for file in sorted(args.folder.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file}")
    return DONE


COMMAND = Command("export", "turn a checkpoint into a model bundle", _add_arguments, _run)
