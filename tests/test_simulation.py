"""Simulated traffic: people who behave as they were made to, when and with what incidents they were asked for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring.counts.rollup import Rollup
from monitoring.errors import IncidentError, PoolError
from monitoring.outcomes import Again, follow
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.simulation.incidents import Incident, parse, rising
from monitoring.simulation.people import Open, Population, Say, Shown, Tell, Type, Why, born, sit
from monitoring.simulation.pool import CONDITIONS, SHIPPED, Pool, read
from monitoring.simulation.rhythm import FLAT, WEEK, arrivals
from monitoring.simulation.sitting import Did
from monitoring.simulation.traffic import Scenario, independent, traffic

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def pool() -> Pool:
    """The shipped one."""
    return read()


def records(items: Sequence[Record | Event]) -> list[Record]:
    """Without the events."""
    return [item for item in items if isinstance(item, Record)]


def run(pool: Pool, *incidents: Incident, days: float = 1.0, per_hour: float = 60.0) -> list[Record | Event]:
    """Some days from a Monday on, every hour alike."""
    scenario = Scenario(MONDAY, MONDAY + days * DAY, per_hour, FLAT, incidents)
    return list(traffic(pool, scenario, seed=3))


def counted(items: Sequence[Record | Event]) -> Rollup:
    """All of them in one."""
    rollup = Rollup()
    for record in records(items):
        rollup.record(record)
    return rollup


def share(rollup: Rollup, name: str) -> float:
    """One of the rates."""
    part, whole = rollup.rate(name)
    return part / whole


def test_the_pool_has_every_condition_and_each_known_sentence_in_all_of_them(pool: Pool) -> None:
    """Any person can be struck by any incident, whatever they want to say."""
    assert set(pool.hearings) == set(CONDITIONS)
    for wish in pool.wishes:
        heard = [condition for condition in CONDITIONS if (condition, wish.number, 0) in pool.takes]
        assert heard == (list(CONDITIONS[:-1]) if wish.known else ["vocabulary"])
        ways = range(len(wish.ways))
        assert all((condition, wish.number, way) in pool.takes for condition in heard for way in ways)


def test_each_condition_makes_the_pool_worse_in_its_own_way(pool: Pool) -> None:
    """A microphone takes level, a cafe signal-to-noise ratio, a broken model neither; new names are not found."""
    median = {
        (condition, name): float(
            np.median([getattr(each.clip, name) for each in heard if each.clip.level_dbfs])
        )
        for condition, heard in pool.hearings.items()
        for name in ("level_dbfs", "snr_db")
    }
    assert median["microphone", "level_dbfs"] - median["normal", "level_dbfs"] == pytest.approx(
        -12.0, abs=1.5
    )
    assert median["quiet", "level_dbfs"] - median["normal", "level_dbfs"] == pytest.approx(-19.0, abs=2.5)
    assert median["cafe", "snr_db"] < median["normal", "snr_db"] - 10.0
    assert median["broken", "level_dbfs"] == pytest.approx(median["normal", "level_dbfs"], abs=0.5)
    assert median["vocabulary", "level_dbfs"] == pytest.approx(median["normal", "level_dbfs"], abs=0.7)
    assert pool.null_rate("broken") > pool.null_rate() + 0.1
    assert pool.found_rate("vocabulary") == 0.0


def test_the_same_seed_gives_the_same_traffic_and_another_other(pool: Pool) -> None:
    """Everything follows from pool, scenario and seed."""
    scenario = Scenario(MONDAY, MONDAY + 2 * HOUR)
    assert list(traffic(pool, scenario, 1)) == list(traffic(pool, scenario, 1))
    assert list(traffic(pool, scenario, 1)) != list(traffic(pool, scenario, 2))


def test_records_come_in_the_order_in_which_they_end_and_events_after_what_they_are_about(pool: Pool) -> None:
    """As at a server, whose observers see a request when it is over."""
    seen_at: list[datetime] = []
    known: set[str] = set()
    for item in run(pool, days=0.5):
        if isinstance(item, Record):
            seen_at.append(item.at + timedelta(seconds=item.duration_s))
            assert item.query_id is not None
            assert item.query_id not in known
            known.add(item.query_id)
        else:
            seen_at.append(item.at)
            assert item.query_id in known
    assert len(known) > 500
    assert seen_at == sorted(seen_at)


def test_an_incident_changes_nothing_before_it_begins(pool: Pool) -> None:
    """The same people want the same at the same time, so that what differs is the incident's."""
    calm = run(pool)
    struck = run(pool, Incident("microphone", MONDAY + DAY / 2, MONDAY + DAY, share=0.4))
    first = next(at for at, pair in enumerate(zip(calm, struck, strict=False)) if pair[0] != pair[1])
    assert records(struck[first : first + 50])[0].at >= MONDAY + DAY / 2 - HOUR / 60
    assert first > len(calm) // 3


def test_a_week_has_its_hours_and_days_and_a_flat_one_none() -> None:
    """Nights are quiet, weekends are not; the mean is what was asked for."""
    rng = np.random.default_rng(0)
    week = list(arrivals(WEEK, MONDAY, MONDAY + 7 * DAY, 100.0, rng))
    assert len(week) == pytest.approx(7 * 24 * 100, rel=0.05)
    assert week == sorted(week)
    hours = Counter(moment.hour for moment in week)
    assert hours[20] > 5 * hours[3]
    days = Counter(moment.weekday() for moment in week)
    assert (days[5] + days[6]) / 2 > 1.2 * sum(days[day] for day in range(5)) / 5
    flat = Counter(moment.hour for moment in arrivals(FLAT, MONDAY, MONDAY + 7 * DAY, 100.0, rng))
    # 700 an hour of the day expected; the largest of 24 Poisson counts is within 5 standard deviations, 132.
    assert max(abs(count - 700) for count in flat.values()) < 132


def test_arrivals_end_where_they_were_asked_to() -> None:
    """Also where that is no whole minute."""
    until = MONDAY + timedelta(seconds=90)
    moments = list(arrivals(FLAT, MONDAY, until, 36_000.0, np.random.default_rng(0)))
    assert MONDAY <= moments[0] < moments[-1] < until
    assert len(moments) == pytest.approx(900, abs=150)


def answered(person_seed: int, shown: Shown) -> list[Say | Type | Open | Tell]:
    """What somebody does who always gets to see the same."""
    source = random.Random(person_seed)
    wish = read().known[0]
    acts = sit(born(person_seed, 0, random.Random(f"person {person_seed}")), lambda: wish, source)
    done: list[Say | Type | Open | Tell] = []
    sent: Shown | None = None
    while True:
        try:
            act = acts.send(sent)
        except StopIteration:
            return done
        done.append(act)
        sent = shown if isinstance(act, Say | Type) else None


def asked_again(shown: Shown) -> float:
    """Of the queries of 400 people who always get to see the same, the share that repeats another."""
    whys = [
        act.why for number in range(400) for act in answered(number, shown) if isinstance(act, Say | Type)
    ]
    return sum(why not in (Why.NEW, Why.TYPED_NEW) for why in whys) / len(whys)


def test_who_is_served_asks_nothing_again_and_who_is_not_does_until_patience_ends() -> None:
    """The first place serves everybody; a late answer costs patience; nobody tries more than five times."""
    assert asked_again(Shown(1, 10, 0.1)) == 0.0
    fast, slow = asked_again(Shown(None, 10, 0.1)), asked_again(Shown(None, 10, 6.0))
    assert 0.4 < fast < 0.7
    assert slow < fast - 0.1
    for number in range(100):
        tries = 0
        for act in answered(number, Shown(None, 0, 0.1, text=False)):
            if isinstance(act, Say | Type):
                tries = 1 if act.why in (Why.NEW, Why.TYPED_NEW) else tries + 1
                assert tries <= 5


def test_results_far_down_are_overlooked() -> None:
    """As 1 / place: the tenth serves a tenth."""
    assert asked_again(Shown(10, 10, 0.1)) > asked_again(Shown(2, 10, 0.1)) + 0.1


def test_typing_grows_with_failures() -> None:
    """Who was misheard again and again changes to the keyboard; few do at once."""
    by_try: dict[int, Counter[Why]] = {}
    for number in range(2_000):
        tries = 0
        for act in answered(number, Shown(None, 10, 0.1)):
            if isinstance(act, Say | Type):
                tries = 0 if act.why in (Why.NEW, Why.TYPED_NEW) else tries + 1
                by_try.setdefault(tries, Counter())[act.why] += 1
    typed = {tries: whys[Why.TYPED] / whys.total() for tries, whys in by_try.items()}
    assert 0.05 < typed[1] < 0.25
    assert typed[3] > 1.5 * typed[1]


def test_people_are_themselves_whatever_happens() -> None:
    """Traits do not depend on how many incidents there are, and one's luck with the first does not change."""
    one, two = (
        [everybody.draw(random.Random(9)) for _ in range(5)]
        for everybody in (Population(50, 1, seed=4), Population(50, 2, seed=4))
    )
    assert [person.luck for person in one] == [person.luck[:1] for person in two]
    assert [(person.number, person.level_db, person.device) for person in one] == [
        (person.number, person.level_db, person.device) for person in two
    ]


def test_an_incident_strikes_its_share_of_people_and_always_the_same(pool: Pool) -> None:
    """Who has the new microphone keeps it; its records say so."""
    incident = Incident("microphone", MONDAY, MONDAY + DAY, share=0.3, device="phone-2")
    told: list[Did] = []
    scenario = Scenario(MONDAY, MONDAY + DAY, 200.0, FLAT, (incident,), people=300)
    seen = list(traffic(pool, scenario, 0, told.append))
    struck = {did.person for did in told if did.incidents}
    assert len(struck) / len({did.person for did in told}) == pytest.approx(0.3, abs=0.1)
    assert not struck & {did.person for did in told if not did.incidents}
    condition = {did.query_id: did.condition for did in told}
    spoken = [record for record in records(seen) if record.transport is Transport.SEARCH]
    assert {condition[str(record.query_id)] for record in spoken if record.device == "phone-2"} == {
        "microphone"
    }


def test_incidents_show_where_they_should_and_nowhere_else(pool: Pool) -> None:
    """A broken model raises null results and asking again; new names only what the search finds; inputs stay."""
    calm = counted(run(pool))
    broken = counted(run(pool, Incident("broken", MONDAY, MONDAY + DAY)))
    vocabulary = counted(run(pool, Incident("vocabulary", MONDAY, MONDAY + DAY, share=0.5)))
    cafe = counted(run(pool, Incident("cafe", MONDAY, MONDAY + DAY)))
    assert share(broken, "null_rate") > share(calm, "null_rate") + 0.1
    assert share(vocabulary, "out_of_catalog_rate") > share(calm, "out_of_catalog_rate") + 0.1

    def median(rollup: Rollup, name: str) -> float:
        return rollup.quantile(name, 0.5) or 0.0

    for other in (broken, vocabulary):
        assert median(other, "level_dbfs") == pytest.approx(median(calm, "level_dbfs"), abs=0.7)
        assert median(other, "snr_db") == pytest.approx(median(calm, "snr_db"), abs=1.0)
    assert median(cafe, "snr_db") < median(calm, "snr_db") - 10.0


def test_a_broken_model_has_a_name_of_its_own_unless_it_broke_in_place(pool: Pool) -> None:
    """A bad release is seen by version; a damaged file is not."""
    models = {record.model for record in records(run(pool, Incident("broken", MONDAY, MONDAY + DAY)))}
    assert models == {pool.models["broken"]}
    in_place = Incident("broken", MONDAY, MONDAY + DAY, model=pool.models["normal"])
    assert {record.model for record in records(run(pool, in_place))} == {pool.models["normal"]}


def test_slow_answers_and_outages(pool: Pool) -> None:
    """The first take twelve times as long, the second fail with 503, as often as asked for."""
    calm, slow = (
        np.median([record.duration_s for record in records(items)])
        for items in (run(pool), run(pool, Incident("slow", MONDAY, MONDAY + DAY)))
    )
    assert slow / calm == pytest.approx(12.0, rel=0.1)
    failing = records(run(pool, Incident("outage", MONDAY, MONDAY + DAY, strength=0.2)))
    errors = [record for record in failing if record.outcome is Outcome.ERROR]
    assert {record.status for record in errors} == {503}
    assert len(errors) / len(failing) == pytest.approx(0.2, abs=0.04)


def test_a_null_rate_rises_as_slowly_as_it_was_told_to(pool: Pool) -> None:
    """Of clips by independent people, 0.2 points a day; people who ask again add little."""
    rise = rising(pool, "broken", MONDAY, MONDAY + 10 * DAY, points_a_day=0.5)
    worse = pool.null_rate("broken") - pool.null_rate()
    assert rise.share_at(MONDAY) == 0.0
    assert rise.share_at(MONDAY + 4 * DAY) * worse == pytest.approx(0.02)
    last_day = run(pool, rise, days=10.0, per_hour=20.0)[-1_500:]
    base = share(counted(run(pool, days=4.0, per_hour=20.0)), "null_rate")
    assert 0.02 < share(counted(last_day), "null_rate") - base < 0.10
    with pytest.raises(IncidentError, match="points to the null rate at most"):
        rising(pool, "microphone", MONDAY, MONDAY + 100 * DAY, points_a_day=0.5)


def test_the_truth_agrees_with_what_can_be_inferred(pool: Pool) -> None:
    """Nine of ten switches to typing that `monitoring.outcomes` finds are ones; so the sessions look like sessions."""
    told: list[Did] = []
    scenario = Scenario(MONDAY, MONDAY + DAY, 100.0, FLAT)
    seen = list(traffic(pool, scenario, 5, told.append))
    again = {did.follows: did.why for did in told if did.follows is not None}
    sessions: dict[str, tuple[list[Record], list[Event]]] = {}
    for item in seen:
        kept = sessions.setdefault(str(item.session), ([], []))
        kept[isinstance(item, Event)].append(item)  # type: ignore[arg-type]  # the place says which
    found = [
        (followed.again, again.get(followed.query_id))
        for asked, happened in sessions.values()
        for followed in follow(asked, happened, lambda a, b: 0.0 if a == b else 1.0)
    ]
    typed = [truth for inferred, truth in found if inferred is Again.TYPED]
    assert len(typed) > 30
    assert sum(truth is Why.TYPED for truth in typed) / len(typed) > 0.9


def test_clicks_name_what_was_shown(pool: Pool) -> None:
    """A result can be opened only where there is one, and the right one is opened more than half of the time."""
    items = run(pool)
    shown = {record.query_id: record for record in records(items)}
    clicks = [item for item in items if isinstance(item, Event) and item.type is EventType.CLICK]
    assert len(clicks) > 300
    assert all(click.item_id in shown[click.query_id].results for click in clicks)
    assert sum(click.item_id == shown[click.query_id].results[0] for click in clicks) / len(clicks) > 0.7


def test_independent_records_are_of_the_pool_and_of_as_many_strangers(pool: Pool) -> None:
    """No session twice, no asking again; levels vary more than the pool's own."""
    drawn = independent(pool, 2_000, seed=1)
    assert len({record.session for record in drawn}) == 2_000
    assert {record.repeats for record in drawn} == {None}
    null = sum(record.outcome is Outcome.NULL for record in drawn) / len(drawn)
    assert null == pytest.approx(pool.null_rate(), abs=0.02)
    quiet = independent(pool, 300, seed=1, condition="quiet")
    level = [
        np.mean([r.clip.level_dbfs for r in each if r.clip and r.clip.level_dbfs]) for each in (drawn, quiet)
    ]
    assert level[1] < level[0] - 12.0
    assert not any(record.results == () for record in drawn[:50] if record.top_score is not None)


@pytest.mark.parametrize(
    ("spelled", "since_h", "until_h", "first", "last"),
    [
        ("microphone@2d..4d:0.3", 48.0, 96.0, 0.3, 0.3),
        ("broken", 0.0, 900_000.0, 1.0, 1.0),
        ("cafe@90m..2h", 1.5, 2.0, 1.0, 1.0),
        ("quiet@0h..10d:0..0.5", 0.0, 240.0, 0.0, 0.5),
    ],
)
def test_incidents_are_spelled(
    spelled: str, since_h: float, until_h: float, first: float, last: float
) -> None:
    """Kind, times from the start, and the share at both ends."""
    incident = parse(spelled, MONDAY)
    assert incident.since == MONDAY + since_h * HOUR
    assert incident.until >= min(MONDAY + until_h * HOUR, MONDAY + 30_000 * DAY)
    assert incident.share_at(incident.since) == first
    assert incident.share_at(
        min(incident.until, MONDAY + 11 * DAY) - timedelta(microseconds=1)
    ) == pytest.approx(last, abs=1e-6)
    assert incident.share_at(incident.since - timedelta(microseconds=1)) == 0.0
    assert incident.share_at(incident.until) == 0.0


@pytest.mark.parametrize(
    ("spelled", "says"),
    [
        ("earthquake", "expected one of microphone"),
        ("microphone@2d", "expected KIND"),
        ("microphone@4d..2d", "before it begins"),
        ("microphone:1.5", "expected 0 to 1"),
        ("quiet@2d..:0..0.5", "needs an end"),
    ],
)
def test_incidents_misspelled(spelled: str, says: str) -> None:
    """The error says what was expected."""
    with pytest.raises(IncidentError, match=says):
        parse(spelled, MONDAY)


def test_no_pool(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither a missing file nor something else is one, and the error says where pools come from."""
    folder = tmp_path_factory.mktemp("pool")
    with pytest.raises(PoolError, match="scripts/make_traffic"):
        read(folder / "none.xz")
    (folder / "other.xz").write_bytes(b"no pool")
    with pytest.raises(PoolError, match="is no pool"):
        read(folder / "other.xz")


def test_the_pool_that_ships_is_small() -> None:
    """It is in the repository, not in the wheel."""
    assert SHIPPED.stat().st_size < 600_000
