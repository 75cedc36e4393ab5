"""What llama.cpp holds of a text, moved by us and by llama.cpp itself (the tiny model)."""

import numpy as np
import pytest

from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation
from fieldguide.generation.sequence_state import Rotation, are_alike, move, values_of_one_token

TOKENS = list(range(1000, 1040))


@pytest.fixture(scope="module")
def context(tiny_model_path):
    model = LlamaModel(tiny_model_path, context_length=2048, threads=2)
    yield model._context
    model.close()


@pytest.fixture
def state(context):
    context.decode(TOKENS, 100, 0, Cancellation())
    yield context.state(0)
    context.forget(0, -1)


def test_a_key_is_turned_as_the_paper_says():
    cosine, sine = Rotation(head_width=4, base=100.0, halves=True).turn(3)
    assert cosine == pytest.approx([np.cos(3.0), np.cos(0.3)])
    assert sine == pytest.approx([np.sin(3.0), np.sin(0.3)])


def test_a_stretch_moved_is_the_stretch_read_at_the_new_place(context, state):
    # A token alone in its sequence sees nothing but itself, wherever it stands.
    places = []
    for position in (100, 937):
        context.decode([1000], position, 1, Cancellation())
        places.append(bytearray(context.state(1)))
        context.forget(1, -1)
    here, there = places
    assert not are_alike(here, there)
    assert move(here, 837, context._rotation)
    assert are_alike(here, there)


def test_moving_there_and_back_leaves_the_keys_as_they_were_but_for_rounding(context, state):
    moved = bytearray(state)
    assert move(moved, 500, context._rotation)
    assert not are_alike(moved, state)
    assert move(moved, -500, context._rotation)
    assert are_alike(moved, state)


def test_not_moving_changes_nothing(context, state):
    moved = bytearray(state)
    assert move(moved, 0, context._rotation)
    assert moved == state


def test_a_wrong_rotation_is_noticed(context):
    known = context._rotation
    assert context._moves_alike(known)
    assert not context._moves_alike(Rotation(known.head_width, known.base / 2, known.halves))
    assert not context._moves_alike(Rotation(known.head_width, known.base, not known.halves))


def test_where_the_rotation_is_not_known_llama_cpp_moves_the_keys(context, state, monkeypatch):
    assert context.restore(1, *context.moved(state, 300))
    ours = context.state(1)
    monkeypatch.setattr(context, "_rotation", None)
    assert context.restore(1, *context.moved(state, 300))
    context.decode([7], 440, 1, Cancellation())  # it does so when it runs next
    context.forget(1, 440)
    assert are_alike(context.state(1), ours)
    context.forget(1, -1)


@pytest.mark.parametrize("state", [b"", b"\0" * 36, b"\1\0\0\0" * 200])
def test_a_state_of_another_layout_is_left_alone(state):
    assert values_of_one_token(state) is None
    same = bytearray(state)
    assert not move(same, 5, Rotation(64, 10_000.0, halves=False))
    assert same == state
