"""``voicesearch export``: a checkpoint, or a network of torchaudio, becomes a model bundle."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asr.bundle import MANIFEST, DecoderSettings, read
from asr.commands.command import DONE, Command
from asr.commands.progress import say
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.errors import OptionError
from asr.frontend import FrontendOptions
from asr.train import checkpoint
from asr.train.encoder_only import export_encoder
from asr.train.export import at_precisions, export_fp32
from asr.train.import_bundle import Import, import_bundle
from asr.train.lexicon import TOKENS
from asr.train.publish import Release, describe_training, publish

PRECISIONS = ("int8", "fp32", "fp16")
OF_CHECKPOINTS = ("lexicon", "lm", "g2p", "corpora", "blend", "checkpoint_fp16", "encoder_only")
OF_IMPORTS = ("weights", "words")
OF_BUNDLES = (
    "name",
    "lexicon",
    "lm",
    "g2p",
    "corpora",
    "checkpoint_fp16",
)  # of which an encoder alone has nothing


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="CHECKPOINT (of voicesearch train; not with --from) and FOLDER, the bundle to write",
    )
    parser.add_argument("--name", help="of the bundle (default en-small, with --from the folder's)")
    _add_from_arguments(parser)
    parser.add_argument(
        "--lexicon", type=Path, help="from scripts/build_language_model; needed without --from"
    )
    parser.add_argument("--lm", type=Path, help="KenLM file; without one all words are equally likely")
    parser.add_argument(
        "--g2p", type=Path, help="from scripts/train_g2p: pronounces words outside the lexicon"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        help="the first is the bundle's default (default int8, with --from fp32)",
    )
    parser.add_argument(
        "--encoder-only",
        action="store_true",
        help="write the encoder alone, for sherpa-onnx, which makes Kaldi's features itself; no --lexicon needed",
    )
    parser.add_argument("--corpora", type=Path, nargs="*", default=[], help="what the model was trained on")
    parser.add_argument(
        "--blend",
        nargs=2,
        metavar=("CHECKPOINT", "SHARE"),
        help="mix in this share of another checkpoint's weights: of the one that this run began with",
    )
    parser.add_argument("--checkpoint-fp16", type=Path, help="also write the weights in half precision here")


def _add_from_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        metavar="torchaudio:NAME",
        help="a pipeline of torchaudio that writes letters, such as WAV2VEC2_ASR_BASE_960H",
    )
    parser.add_argument(
        "--weights", type=Path, help="with --from: its weights, downloaded before (default: download them)"
    )
    parser.add_argument(
        "--words",
        metavar="MODEL",
        help="with --from: search through the words of this bundle with its language model (default: spell freely)",
    )


def _run(args: argparse.Namespace) -> int:
    folder = _export_checkpoint(args) if args.source is None else _export_from(args)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file}")
    return DONE


def _export_from(args: argparse.Namespace) -> Path:
    _refuse(args, OF_CHECKPOINTS, "only for checkpoints; with --from there is --words")
    if len(args.paths) != 1:
        raise OptionError("with --from there is one path, the folder to write")
    folder: Path = args.paths[0]
    wanted = Import(
        args.source, args.weights, args.words, args.name or folder.name, args.precision or ["fp32"]
    )
    done = import_bundle(wanted, folder)
    say(f"torch and ONNX agree to {done.parity:.1e} in log-probabilities")
    if done.left_out:
        say(f"{done.left_out} words of {args.words} have letters that {args.source} lacks, and are left out")
    return folder


def _refuse(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """What would have no effect. Raises OptionError with the options given."""
    if given := [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]:
        raise OptionError(f"{', '.join(given)}: {why}")


def _export_checkpoint(args: argparse.Namespace) -> Path:
    _refuse(args, OF_IMPORTS, "only for --from; a checkpoint has --lexicon and --lm")
    if args.encoder_only:
        _refuse(
            args,
            OF_BUNDLES,
            "only for bundles; --encoder-only writes a network and its tokens, and nothing else",
        )
    if len(args.paths) != 2 or (args.lexicon is None and not args.encoder_only):
        raise OptionError("expected CHECKPOINT, FOLDER and --lexicon, or --from torchaudio:NAME and FOLDER")
    folder: Path = args.paths[1]
    state = checkpoint.load(args.paths[0])
    if args.blend:
        other, share = args.blend
        state = checkpoint.blend(state, checkpoint.load(Path(other)), float(share))
    model = checkpoint.build(state)
    if args.encoder_only:
        export_encoder(model, folder, args.precision or ["int8"])
        return folder
    decoder = DecoderSettings(
        lexicon=args.lexicon.name,
        lm=None if args.lm is None else args.lm.name,
        options=DecoderOptions(),
        calibration=Calibration(),
        g2p=None if args.g2p is None else args.g2p.name,
    )
    if (folder / MANIFEST).exists():  # a new checkpoint in an old bundle keeps what was tuned on dev
        tuned = read(folder).decoder
        decoder = replace(decoder, options=tuned.options, calibration=tuned.calibration)
    release = Release(
        name=args.name or "en-small",
        language="en",
        tokens=TOKENS,
        frontend=FrontendOptions(),
        decoder=decoder,
        licence="Apache-2.0; trained on CC-BY-4.0 and other open speech, see training.sets for attribution",
        training=describe_training(model, args.corpora),
    )
    with tempfile.TemporaryDirectory() as temporary:
        fp32 = Path(temporary) / "fp32.onnx"
        export_fp32(model, fp32)
        words = [path for path in (args.lexicon, args.lm, args.g2p) if path is not None]
        publish(release, at_precisions(fp32, args.precision or ["int8"]), words, folder)
    if args.checkpoint_fp16 is not None:
        args.checkpoint_fp16.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save_half(args.checkpoint_fp16, model)
    return folder


COMMAND = Command(
    "export", "turn a checkpoint, or a network of torchaudio, into a model bundle", _add_arguments, _run
)
