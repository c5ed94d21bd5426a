"""``voicesearch bench [AUDIO...]``: speed and memory of a model on this machine."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from asr import audio
from asr.benchmark import (
    PERCENTILES,
    Latency,
    Samples,
    gemm_flops_per_s,
    gemm_share,
    import_s,
    measure,
    peak_rss_bytes,
    voiced_noise,
)
from asr.commands.command import DONE, Command
from asr.commands.pipeline_options import add_model_arguments, load_transcriber
from asr.errors import OptionError
from asr.manifest import read_manifest

SAMPLES_MANIFEST = Path(__file__).parents[2] / "data" / "samples" / "manifest.jsonl"  # in a source tree only


def add_arguments(parser: ArgumentParser) -> None:
    """What to run, how often, and the model."""
    parser.add_argument(
        "audio",
        nargs="*",
        type=Path,
        metavar="AUDIO",
        help="speech (default: the sample clips, else synthetic)",
    )
    parser.add_argument("--repeats", type=int, default=20, help="clips of each length (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    add_model_arguments(parser)


def run(args: Namespace) -> int:
    """Measure and report."""
    if args.repeats < 1:
        raise OptionError(f"--repeats is {args.repeats}; at least 1 is needed")
    name, material = bench_material(args.audio)
    start = time.perf_counter()
    transcriber = load_transcriber(args)
    load_s = time.perf_counter() - start
    latencies = measure(transcriber.transcribe, material, args.repeats)
    rss = peak_rss_bytes()
    info = transcriber.info
    work_s = sum(sum(latency.seconds) for latency in latencies)
    factor = work_s / sum(len(latency.seconds) * latency.length_s for latency in latencies)
    peak = gemm_flops_per_s(args.threads)
    report: dict[str, Any] = {
        "model": info.identity,
        "precision": args.precision or next(iter(info.models)),
        "device": args.device,
        "threads": args.threads,
        "material": name,
        "repeats": args.repeats,
        "real_time_factor": round(factor, 5),
        "throughput_audio_s_per_s": round(1 / factor, 1),
        "latency_ms": {str(latency.length_s): latency.as_dict() for latency in latencies},
        "peak_rss_bytes": rss,
        "import_s": round(import_s(), 3),
        "load_s": round(load_s, 3),
        "gemm_peak_flops_per_s": round(peak),
        "gemm_peak_share": gemm_share(info.training.get("flops_per_audio_s"), factor, peak),
    }
    print(json.dumps(report, indent=2) if args.json else table(report, latencies))
    return DONE


def bench_material(paths: list[Path]) -> tuple[str, Samples]:
    """What is measured on: the files given, else the sample clips with speech, else a synthetic sound."""
    if paths:
        clips, name = [audio.decode(path) for path in paths], f"{len(paths)} file(s)"
    elif SAMPLES_MANIFEST.is_file():
        spoken = [row.path for row in read_manifest(SAMPLES_MANIFEST) if row.text]
        clips, name = [audio.decode(path) for path in spoken], "data/samples"
    else:
        clips, name = [voiced_noise()], "synthetic"
    material = np.concatenate(clips)
    if len(material) == 0:
        raise OptionError(f"{', '.join(map(str, paths))}: no samples to measure with")
    return name, material


def table(report: dict[str, Any], latencies: list[Latency]) -> str:
    """The report for people."""
    share = report["gemm_peak_share"]
    lines = [
        f"{report['model']} ({report['precision']}) on {report['device']}, {report['threads']} thread(s), "
        f"{report['material']}, {report['repeats']} clips of each length",
        "length  " + "  ".join(f"{f'p{which}':>7}" for which in PERCENTILES) + "      RTF  speech",
    ]
    for latency in latencies:
        row = latency.as_dict()
        times = "  ".join(f"{row[f'p{which}']:7.1f}" for which in PERCENTILES)
        lines.append(
            f"{latency.length_s:4} s  {times}  {row['real_time_factor']:7.4f}  {row['speech_ratio']:6.0%}"
        )
    lines += [
        f"real-time factor {report['real_time_factor']:.4f}, "
        f"{report['throughput_audio_s_per_s']:.0f} s of audio a second (latencies in ms)",
        f"peak memory {report['peak_rss_bytes'] / 1e6:.0f} MB; "
        f"import {report['import_s']:.2f} s, load {report['load_s']:.2f} s",
        f"GEMM peak {report['gemm_peak_flops_per_s'] / 1e9:.0f} GFLOP/s, "
        + (f"{100 * share:.1f} % of it reached" if share is not None else "share unknown for this model"),
    ]
    return "\n".join(lines)


COMMAND = Command("bench", "speed and memory of a model on this machine", add_arguments, run)
