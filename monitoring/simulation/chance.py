"""What strikes one sitting: the incidents that are on, as far as they strike this person, in one value."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.simulation.incidents import OUTAGE, SLOW, Incident, active
from monitoring.simulation.people import Person
from monitoring.simulation.pool import CAFE, NORMAL, VOCABULARY

TIMES_AS_LONG = 12.0  # of a slow answer, where nothing else is said: beyond what `rules.toml` promises


@dataclass(frozen=True, slots=True)
class Chance:
    """What strikes a sitting: how clips are heard, how slow answers are, how many fail."""

    audio: str = NORMAL
    vocabulary: bool = False
    slow: float = 1.0
    outage: float = 0.0
    model: str | None = None
    device: str | None = None
    kinds: tuple[str, ...] = ()

    @classmethod
    def of(cls, struck: Iterable[Incident], *, away: bool = False) -> Chance:
        """Of incidents, the last one decides. ``away``: in a noisy place, unless something worse decides."""
        audio, slow, outage = CAFE if away else NORMAL, 1.0, 0.0
        vocabulary, model, device, kinds = False, None, None, []
        for incident in struck:
            kinds.append(incident.kind)
            model, device = incident.model or model, incident.device or device
            if incident.kind == SLOW:
                slow *= incident.strength or TIMES_AS_LONG
            elif incident.kind == OUTAGE:
                outage += (1.0 - outage) * (1.0 if incident.strength is None else incident.strength)
            elif incident.kind == VOCABULARY:
                vocabulary = True
            else:
                audio = incident.kind
        return cls(audio, vocabulary, slow, outage, model, device, tuple(kinds))


def chance_of(
    person: Person, incidents: Sequence[Incident], away: float, at: datetime, source: random.Random
) -> Chance:
    """What strikes a person in a session that begins at a time; ``away`` is the chance that they are not at home."""
    struck = [incidents[number] for number, share in active(incidents, at) if person.luck[number] < share]
    return Chance.of(struck, away=source.random() < away)
