"""The optimisers: shares of the work, what a step does, what a checkpoint holds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")

from asr.train.fit import FitOptions  # noqa: E402  # after the skip
from asr.train.model import AcousticModel, ModelOptions  # noqa: E402
from asr.train.optimise import Optimisers  # noqa: E402

OPTIONS = FitOptions(minutes=1.0, peak_learning_rate=0.01)
ROOT = Path(__file__).resolve().parent.parent

# One step with gradients that depend on the parameters alone; prints a digest of the weights afterwards.
STEP = """
import os, torch, torch.distributed as dist
from asr.train.fit import FitOptions
from asr.train.optimise import Optimisers
from tests_model import model_with_gradients
dist.init_process_group("gloo")
model = model_with_gradients()
optimisers = Optimisers(model, FitOptions(minutes=1.0, peak_learning_rate=0.01), dist.get_rank(), 2)
optimisers.step()
torch.save(model.state_dict(), os.environ["OUT"] + os.environ["RANK"])
"""

MODEL = """
import torch
from asr.train.model import AcousticModel, ModelOptions
def model_with_gradients():
    torch.manual_seed(0)
    options = ModelOptions(width=16, heads=2, feed_forward=32, blocks_before=1, blocks_half_rate=1)
    model = AcousticModel(options)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model
"""


def model_with_gradients() -> AcousticModel:
    scope: dict[str, object] = {}
    exec(MODEL, scope)
    made: AcousticModel = scope["model_with_gradients"]()  # type: ignore[operator]
    return made


def test_two_processes_take_the_step_of_one(tmp_path: Path) -> None:
    """Each of two processes updates its share of the matrices; both end with the weights of a single process."""
    (tmp_path / "tests_model.py").write_text(MODEL)
    (tmp_path / "step.py").write_text(STEP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "OUT": str(tmp_path / "weights")}
    shared |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen([sys.executable, tmp_path / "step.py"], env={**shared, "RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]

    alone = model_with_gradients()
    Optimisers(alone, OPTIONS, 0, 1).step()
    for rank in range(2):
        weights = torch.load(tmp_path / f"weights{rank}", weights_only=True)
        for name, expected in alone.state_dict().items():
            torch.testing.assert_close(weights[name], expected, msg=f"{name} of rank {rank}")


def test_the_rate_holds_for_all_parameters() -> None:
    """With a rate of zero a step changes nothing; with another it changes every parameter that has a gradient."""
    model = model_with_gradients()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimisers = Optimisers(model, OPTIONS, 0, 1)
    optimisers.set_rate(0.0)
    optimisers.step()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    optimisers.set_rate(0.01)
    optimisers.step()
    assert not any(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_a_checkpoint_of_other_processes_is_taken_over_as_far_as_it_goes() -> None:
    """A run saved by two processes, which leave out Muon's momentum, goes on in one with AdamW's state kept."""
    model = model_with_gradients()
    saved = Optimisers(model, OPTIONS, 0, 2)
    for optimiser in saved._all:
        optimiser.step()
    states = saved.state()
    assert len(states) == 1
    taken = Optimisers(model, OPTIONS, 0, 1)
    taken.load(states)
    assert len(taken._all[0].state) == len(saved._all[0].state) > 0
    assert len(taken._all[1].state) == 0


def test_adamw_alone_leaves_nothing_to_muon() -> None:
    """Without Muon every parameter is AdamW's."""
    options = FitOptions(minutes=1.0, muon=False)
    model = AcousticModel(ModelOptions(width=16, heads=2, feed_forward=32))
    optimisers = Optimisers(model, options, 0, 1)
    assert len(optimisers._all) == 1
    assert len(optimisers._all[0].param_groups[0]["params"]) == len(list(model.parameters()))
