"""A search opened up: the map of all passages."""

import numpy as np
import pytest

from fieldguide.retrieval.explain import explain, map_directions


def test_the_map_shows_where_passages_differ_most_and_is_the_same_every_time():
    along = np.linspace(-1, 1, 9)[:, None] * np.array([[0.0, 3.0, 0.0, 0.0]]) + np.array([[5.0, 0.0, 0.0, 0.0]])
    vectors = (along + 0.1 * np.sin(np.arange(36)).reshape(9, 4)).astype(np.float32)
    directions, share = map_directions(vectors)
    assert directions[:, 0] == pytest.approx([0, 1, 0, 0], abs=0.1)
    assert share > 0.95
    assert np.array_equal(directions, map_directions(vectors.copy())[0])


def test_one_passage_or_none_makes_no_map():
    for count in (0, 1):
        directions, share = map_directions(np.ones((count, 3), np.float32))
        assert not directions.any()
        assert share == 0


def test_a_passage_stands_in_the_same_place_whatever_is_asked(toy_searcher):
    first, second = (explain(toy_searcher, question) for question in ("queen eggs", "who built the lighthouse"))
    assert [(p.id, p.x, p.y) for p in first.passages] == [(p.id, p.x, p.y) for p in second.passages]
    assert (first.x, first.y) != (second.x, second.y)
