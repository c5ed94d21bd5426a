"""``voicesearch train``: the training loop on prepared corpora."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from asr.commands.command import DONE, Command
from asr.train.augment import AugmentOptions
from asr.train.batches import BatchOptions
from asr.train.fit import FitOptions
from asr.train.model import SIZES
from asr.train.recipe import Inputs, train


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="checkpoints and log; an interrupted run goes on from here")
    parser.add_argument("--size", choices=tuple(SIZES), default="en-small", help="default %(default)s")
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="corpora of recorded speech")
    parser.add_argument("--synthetic", type=Path, nargs="*", default=[], help="corpora of synthetic speech")
    parser.add_argument("--dev", type=Path, required=True, help="corpus to measure the phone error rate on")
    parser.add_argument("--noise", type=Path, required=True, help="corpus of noise")
    parser.add_argument("--dictionary", type=Path, required=True, help="cmudict.xz")
    parser.add_argument(
        "--real-share", type=float, default=0.65, help="of the audio drawn (default %(default)s)"
    )
    parser.add_argument(
        "--extra",
        nargs=2,
        action="append",
        default=[],
        metavar=("FOLDER", "SHARE"),
        help="a corpus with a share of the audio of its own, before --real-share; may be repeated",
    )
    parser.add_argument(
        "--minutes", type=float, required=True, help="time budget; the learning rate ends at 0"
    )
    parser.add_argument("--batch-s", type=float, default=90.0, help="audio per batch (default %(default)s s)")
    parser.add_argument("--peak-learning-rate", type=float, default=2e-3, help="default %(default)s")
    parser.add_argument("--hold-until", type=float, default=0.3, help="share of the budget before the decay")
    parser.add_argument("--short-until", type=float, default=0.06, help="share with short clips only")
    parser.add_argument("--optimiser", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--dropout", type=float, default=0.1, help="channel dropout (default %(default)s)")
    parser.add_argument(
        "--augmentation", type=float, default=1.0, help="strength of the augmentation (default %(default)s)"
    )
    parser.add_argument("--noise-share", type=float, help="of clips mixed with noise, whatever the strength")
    parser.add_argument("--snr-db", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of clips with noise")
    parser.add_argument(
        "--long-edge", type=float, default=0.0, help="share of clips with seconds of noise around (default 0)"
    )
    parser.add_argument(
        "--made-noises", type=int, default=0, help="sounds made by code beside those recorded (default 0)"
    )
    parser.add_argument("--checkpoint-every-s", type=float, default=120.0, help="default %(default)s s")
    parser.add_argument("--initial", type=Path, help="checkpoint to start from (fine-tuning)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch in this process (default %(default)s)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")


def _run(args: argparse.Namespace) -> int:
    torch.set_num_threads(args.threads)
    augment = replace(AugmentOptions().scaled(args.augmentation), long_edge=args.long_edge)
    if args.noise_share is not None:
        augment = replace(augment, noise=args.noise_share)
    if args.snr_db is not None:
        augment = replace(augment, snr_db=tuple(args.snr_db))
    options = FitOptions(
        minutes=args.minutes,
        peak_learning_rate=args.peak_learning_rate,
        hold_until=args.hold_until,
        checkpoint_every_s=args.checkpoint_every_s,
        short_until=args.short_until,
        muon=args.optimiser == "muon",
        seed=args.seed,
        model=replace(SIZES[args.size], dropout=args.dropout),
        batches=BatchOptions(batch_s=args.batch_s, augment=augment),
    )
    inputs = Inputs(
        real=args.real,
        synthetic=args.synthetic,
        dev=args.dev,
        noise=args.noise,
        dictionary=args.dictionary,
        pronunciation_cache=args.folder / "pronunciations.cache",
        real_share=args.real_share,
        extra=[(Path(folder), float(share)) for folder, share in args.extra],
        made_noises=args.made_noises,
    )
    train(inputs, options, args.folder, torch.device(args.device), args.initial)
    return DONE


COMMAND = Command("train", "train an acoustic model on prepared corpora", _add_arguments, _run)
