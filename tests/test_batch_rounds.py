"""Clips heard in rounds: whoever hears may die of a clip, beside one, or always; Ray is not needed to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice

import pytest

from asr.batch.pool import Task
from asr.batch.rounds import LostError, heard
from asr.batch.shards import Line
from asr.errors import WorkerError

TABLE = 4


class Hearers:
    """Hear tables of four clips, in order, and die of those with a clip of ``deadly``; or ``deaf``: of every one."""

    def __init__(self, *deadly: int, deaf: bool = False) -> None:
        self.deadly, self.deaf = set(deadly), deaf
        self.rounds: list[tuple[int, bool]] = []

    def hear(self, missing: Mapping[int, Task], alone: bool) -> Iterator[tuple[int, Line]]:
        """A round. Of two hearers, one goes on with the next table while the other dies."""
        self.rounds.append((len(missing), alone))
        waiting, dying = iter(list(missing)), False
        while table := list(islice(waiting, 1 if alone else TABLE)):
            if self.deaf or self.deadly & set(table):
                if dying:
                    raise LostError("both died")
                dying = True
                continue
            for number in table:
                yield number, Line(str(number).encode())
            if dying:
                raise LostError("one died")
        if dying:
            raise LostError("one died")


def tasks(count: int) -> Iterator[Task]:
    """Clips by their numbers."""
    return (Task(str(number), 0, number) for number in range(count))


def run(hearers: Hearers, count: int, at_once: int = 1_000) -> dict[int, Line]:
    """The rows by the numbers of their clips."""
    pairs = list(heard(tasks(count), hearers.hear, at_once, lambda _message: None))
    found = {task.place: line for task, line in pairs}
    assert len(found) == len(pairs)
    return found


@pytest.mark.parametrize("deadly", [(), (0,), (7,), (19,), (0, 1), (0, 19), (3, 9, 17), (18, 19)])
def test_a_clip_that_kills_gets_its_row_and_the_others_theirs(deadly: tuple[int, ...]) -> None:
    """Wherever it stands, and if there are several; none is heard twice."""
    found = run(Hearers(*deadly), 20)
    assert found.keys() == set(range(20))
    assert {number for number, line in found.items() if line.error == "WorkerError"} == set(deadly)
    assert all(found[number].row == str(number).encode() for number in set(range(20)) - set(deadly))
    for number in deadly:
        message = json.loads(found[number].row)["error"]["message"]
        assert message.startswith(f"{number}: whoever heard it was lost, 2 times alone; leave it out")


def test_a_killer_is_not_in_front_again() -> None:
    """The first of two hundred clips costs some rounds, not one for every other table."""
    hearers = Hearers(0)
    run(hearers, 200)
    assert len(hearers.rounds) < 10


def test_nobody_who_can_hear_is_no_fault_of_the_clips() -> None:
    """The eighth that nobody survives alone ends the job, and none has got a row."""
    rows = heard(tasks(20), Hearers(deaf=True).hear, 1_000, lambda _message: None)
    with pytest.raises(WorkerError, match=r"^8 clips in a row were not survived .* 7 the last"):
        next(rows)


def test_tasks_are_taken_as_they_are_needed() -> None:
    """A million clips open no more shards than are being heard."""
    taken: list[int] = []

    def counted() -> Iterator[Task]:
        for task in tasks(100):
            taken.append(task.place)
            yield task

    hearers = Hearers()
    rows = heard(counted(), hearers.hear, 10, lambda _message: None)
    next(rows)
    assert len(taken) == 10
    assert len(list(rows)) == 99
    assert hearers.rounds == [(10, False)] * 10
