"""``voicesearch batch --engine ray``: a real Ray cluster that loses a node, and what an actor says of its node."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asr import bundle
from asr.batch import cluster, inputs, job
from asr.batch.inputs import Input
from asr.batch.pipeline import Pipeline
from asr.batch.plan import Counts
from asr.batch.pool import Task
from asr.batch.shards import Line
from asr.batch.worker import WorkerSpec
from asr.cli import main
from asr.cluster import check_token
from asr.commands.batch import Bar
from asr.errors import OptionError, WorkerError

pytest.importorskip("ray.data", reason="needs the extra ray")

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
STORE_BYTES = 100 << 20  # a node's, and Ray takes no less than 75 MiB

pytestmark = [
    pytest.mark.skipif(bundle.DEFAULT_MODEL not in bundle.available(), reason="needs the shipped model"),
    # Ray's nodes and its sockets to them are closed by the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # Ray Data's context warns of fields of its own when it is made.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
    pytest.mark.filterwarnings("ignore:`target_shuffle_max_block_size` is deprecated:UserWarning"),
]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Fifty clips, one of which is none: two seconds' work."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(49):
        shutil.copy(
            SAMPLES / ("tap.wav", "play_jazz.wav", "silence.wav")[number % 3], folder / f"{number:02d}.wav"
        )
    (folder / "broken.wav").write_text("this is not audio")
    return folder


class Watcher:
    """Remembers what is said, and does something at the first clip of all."""

    def __init__(self, at_first: Callable[[], None] = lambda: None) -> None:
        self.said: list[str] = []
        self.heard_clips = 0
        self.counts: Counts | None = None
        self._at_first = at_first

    def say(self, message: str) -> None:
        """Something that a person should read."""
        self.said.append(message)

    def planned(self, counts: Counts, _todo_bytes: int) -> None:
        """What there is to do."""
        self.counts = counts

    def heard(self, _clip: Input, _line: Line) -> None:
        """One clip is done."""
        self.heard_clips += 1
        if self.heard_clips == 1:
            self._at_first()


def make(clips: Path, output: Path, **options: Any) -> job.Job:
    """The job of these clips, in shards of four."""
    info = bundle.read(bundle.find(bundle.DEFAULT_MODEL))
    pipeline = Pipeline(bundle.DEFAULT_MODEL, info.frontend, info.decoder.options)
    source = inputs.find(str(clips), output)
    return job.Job(source, output, pipeline, "1", formats=("jsonl",), shard_clips=4, workers=1, **options)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one() -> str:
    """The version that is installed, as nodes and this process see it."""
    return "1"


def waiting(until: Path) -> type[Any]:
    """Actors that hear one table, and the next when a file is there: nobody is done before a node is killed.

    A class of a function travels by value: nodes do not know this file.
    """
    from asr.batch.actor import Hearing

    class Waiting(Hearing):
        """See above."""

        _first = True

        def __call__(self, clips: Any) -> Any:
            import time

            while not (self._first or until.exists()):
                time.sleep(0.01)
            self._first = False
            return super().__call__(clips)

    return Waiting


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A cluster whose first node coordinates and hears nothing."""
    from ray.cluster_utils import Cluster

    found: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES}
    )
    try:
        yield found
    finally:
        found.shutdown()


def test_interrupted_and_without_its_node_a_cluster_gives_the_same_bytes(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: Any
) -> None:
    """Ctrl+C at the first clip, then a run whose only node is killed at the first clip while another joins: the same
    files as those of one machine, which finds nothing left to do."""
    monkeypatch.setattr(cluster, "TABLE_CLIPS", 1)
    killed = tmp_path / "killed"
    monkeypatch.setattr(cluster.actor, "Hearing", waiting(killed))
    local = make(clips, tmp_path / "local")
    totals = job.run(local, Watcher())
    assert (totals.clips, totals.failed) == (50, 1)
    engine = partial(cluster.Cluster, installed=one, address=nodes.address)
    on_ray = replace(make(clips, tmp_path / "ray"), workers=sys.maxsize, engine=engine)
    first = nodes.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.run(on_ray, Watcher(interrupt))

    def kill() -> None:
        nodes.remove_node(first, allow_graceful=False)
        killed.touch()
        nodes.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    watcher = Watcher(kill)
    assert job.run(on_ray, watcher) == totals
    assert [said for said in watcher.said if "was lost" in said] != []
    assert watcher.heard_clips == 50
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    here = os.getpid()
    stranger = partial(
        cluster.Cluster, installed=lambda: str(1 + (os.getpid() == here)), address=nodes.address
    )
    with pytest.raises(WorkerError, match="has voicesearch 1, and the job was started with 2"):
        job.run(replace(on_ray, output=tmp_path / "other", engine=stranger), Watcher())
    again = Watcher()
    assert job.run(replace(local, output=tmp_path / "ray"), again) == totals
    assert again.counts is not None
    assert again.counts.done == 50


@pytest.fixture
def hearing(clips: Path) -> Iterator[Callable[..., Any]]:
    """Makes actors in this process: ``hearing(root=FOLDER)``."""
    from asr.batch.actor import Hearing

    made: list[Any] = []

    def make_one(**changes: Any) -> Any:
        planned = make(clips, clips.parent / "unused")
        pipeline = planned.pipeline.resolved()
        identity = pipeline.settings("1")["model"]
        spec = replace(WorkerSpec(pipeline, identity, clips), **changes.pop("spec", {}))
        made.append(Hearing(spec, one, changes.pop("wanted", "1")))
        return made[-1]

    yield make_one
    for each in made:
        each._pool.__exit__(None, None, None)


def test_a_file_that_this_node_does_not_see_is_told_from_one_that_is_nowhere(
    hearing: Callable[..., Any],
) -> None:
    """Its row says that folders must be shared; a file that nobody has gets the row of one machine."""
    from asr.batch import actor

    tasks = [Task("elsewhere.wav", 0, 0, size=3), Task("nowhere.wav", 0, 1), Task("00.wav", 0, 2, size=3)]
    table = hearing()(actor.clips_table(enumerate(tasks)))
    lines = {number: line for number, line in actor.read_lines(table) if number is not None}
    assert [lines[number].error for number in range(3)] == ["WorkerError", "FileNotFoundError", None]
    message = json.loads(lines[0].row)["error"]["message"]
    assert message.startswith("elsewhere.wav: not on node ")
    assert message.endswith("every node must see the clips under the same path, on a shared file system")


def test_a_node_that_cannot_do_the_job_says_so(hearing: Callable[..., Any], tmp_path: Path) -> None:
    """Without the folder, or with another version of voicesearch."""
    from asr.batch import actor

    table = actor.clips_table([(0, Task("00.wav", 0, 0, size=3))])
    with pytest.raises(WorkerError, match=r"has no folder .*every node must see the clips"):
        list(actor.read_lines(hearing(spec={"root": tmp_path / "absent"})(table)))
    with pytest.raises(WorkerError, match="has voicesearch 1, and the job was started with 2"):
        list(actor.read_lines(hearing(wanted="2")(table)))


def test_clips_travel_in_tables_of_some_clips_and_bytes() -> None:
    """At most so many, and of large files fewer; one that is larger than a table has its own."""
    sizes = [1] * cluster.TABLE_CLIPS + [1, cluster.TABLE_BYTES, 1, None]
    tasks = [(number, Task(str(number), 0, number, size)) for number, size in enumerate(sizes)]
    runs = list(cluster.cut(tasks, cluster.TABLE_CLIPS))
    assert [len(run) for run in runs] == [cluster.TABLE_CLIPS, 1, 1, 2]
    assert [each for run in runs for each in run] == tasks


def test_a_cluster_of_our_own_has_a_place_for_each_thread(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker of two threads would find no room in one place."""
    asked: list[int] = []
    monkeypatch.setattr(cluster, "join", lambda _ray, _address, cpus: asked.append(cpus))
    pipeline = replace(make(clips, clips.parent / "unused").pipeline, threads=2)
    spec = WorkerSpec(pipeline, "unused", clips)
    cluster.Cluster(spec, 3, str, installed=one).__enter__()
    assert asked == [6]


def test_a_cluster_of_our_own_asks_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs what it is sent, and listens on every interface."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(OptionError, match=r"RAY_AUTH_MODE=disabled: .* Unset it"):
        check_token()


def test_memory_of_actors_is_not_claimed_to_be_known() -> None:
    """They may be on other machines."""
    bar = Bar(elsewhere=True)
    bar.heard(Input("x.wav", "x.wav"), Line(b"{}", duration_s=1.0))
    assert bar.effort().endswith(" MB here, the actors on the cluster's nodes not counted")


def test_of_a_page_of_traceback_the_line_that_matters_is_told() -> None:
    """The last error that it names; else its first line."""
    page = "ray::MapWorker.submit()\n  File x\nKeyError: 'row'\nTo change retry attempts, configure"
    assert cluster._gist(RuntimeError(page)) == "KeyError: 'row'"
    assert cluster._gist(RuntimeError("first\nsecond")) == "RuntimeError: first"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--address", "localhost:6379"], "add --engine ray"),
        (["--engine", "ray", "--address", "ray://head:10001"], "expected HOST:PORT"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_a_wrong_address_is_one_clear_line(
    arguments: list[str], message: str, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, without waiting for half a minute."""
    assert main(["batch", str(clips), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_ray_the_extra_is_named(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["batch", str(clips), str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "pip install 'voicesearch[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
