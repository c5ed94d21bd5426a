"""The watch beside the service: what it takes texts for."""

from __future__ import annotations

import pytest

pytest.importorskip("structlog", reason="needs the extra serve")

from serving.watching import distance_of


def test_what_was_typed_is_compared_as_it_would_be_said() -> None:
    """People type capitals, digits, punctuation and other scripts; none of it may stop what follows every session."""
    distance = distance_of("en-small")
    assert distance("moby dick", "Moby-Dick!") == 0.0
    assert distance("twenty thousand leagues", "20,000 leagues") == 0.0
    assert distance("moby dick", "Моби Дик") == 1.0
    assert distance("moby dick", "the odyssey") > 0.5
