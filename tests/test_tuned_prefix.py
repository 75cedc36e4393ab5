"""What was learnt for the prompt's beginning: who sees it, and who does not (the tiny model)."""

import numpy as np
import pytest

from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, Message, PromptPart, WritingOptions
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import build_messages, build_messages_alone
from fieldguide.generation.tuned_prefix import TunedPrefix, digest, tuned_prefix_for

pytestmark = pytest.mark.weights

HIVE = "Bees > Hive\nThe hive holds twenty thousand bees in summer, and one queen lays all of their eggs."
TOWER = "Lighthouses > Quillon\nMarta Jevons built the Quillon lighthouse in 1911; it is 37 metres tall."
TIDES = "Seas > Tides\nTides follow the Moon, and spring tides come when Sun and Moon pull in one line."
HOW_MANY = "How many bees does the hive hold?"
RULES = "You answer questions from passages of reference guides. " * 12


def prompt(model, passages=(HIVE, TOWER), question=HOW_MANY):
    shown = [PromptPart("passage", f"{passage}\n\n") for passage in passages]
    asked = Message("user", (*shown, PromptPart("question", f"Question: {question}")))
    return model.render([Message("system", (PromptPart("instructions", RULES),)), asked])


@pytest.fixture
def load(tiny_model_path, tmp_path):
    """A model; `change`: by how much the keys and values of the rules are changed, at random."""
    loaded = []

    def load(change=None, *, folder="cache"):
        cache = PassageCache(tmp_path / folder, 10**9) if folder else None
        model = LlamaModel(tiny_model_path, context_length=2048, threads=2, cache=cache)
        loaded.append(model)
        if change is not None:
            beginning = model._tokenized(prompt(model)).beginning
            chance = np.random.default_rng(3)
            keys, values = (chance.integers(-127, 128, (30, len(beginning), 192), np.int8) for _ in range(2))
            steps = np.full((30, 1, 192), change / 127, np.float32)
            model._reader._tuned = TunedPrefix(digest(beginning), keys, steps, values, steps)
        return model

    yield load
    for model in loaded:
        model.close()


def answer(model, *passages, question=HOW_MANY):
    for _ in model.read(prompt(model, passages, question), Cancellation()):
        pass
    tokens = list(model.write(WritingOptions(16), Cancellation()))
    return "".join(token.text for token in tokens), [token.log_probability for token in tokens]


@pytest.mark.parametrize("folder", ["cache", None])
def test_a_change_of_nothing_changes_no_answer(load, folder):
    assert answer(load(0.0, folder=folder), HIVE, TOWER) == answer(load(folder=folder), HIVE, TOWER)


@pytest.mark.parametrize("folder", ["cache", None])
def test_what_was_learnt_changes_the_answer(load, folder):
    assert answer(load(0.3, folder=folder), HIVE, TOWER)[1] != answer(load(folder=folder), HIVE, TOWER)[1]


@pytest.mark.parametrize("folder", ["cache", None])
def test_what_was_asked_before_leaves_no_trace(load, folder):
    model, other = load(0.3, folder=folder), load(0.3, folder=folder and "b")
    answer(model, TIDES, HIVE, question="When do spring tides come?")
    answer(model, HIVE, TOWER)
    answer(model, HIVE, TOWER, TIDES)
    assert answer(model, HIVE, TOWER) == answer(other, HIVE, TOWER)


def test_an_answer_cancelled_behind_the_change_leaves_the_next_one_whole(load):
    model = load(0.3)
    reading = model.read(prompt(model, (HIVE, TOWER)), Cancellation())
    while model._reader._replaced is None:
        next(reading)
    reading.close()
    assert answer(model, TIDES, HIVE) == answer(load(0.3, folder="b"), TIDES, HIVE)


def test_passages_are_kept_as_they_are_behind_the_written_beginning(load, tmp_path):
    plain, tuned = load(folder="plain"), load(0.3, folder="tuned")
    answer(plain, HIVE, TOWER)
    answer(tuned, TIDES)
    answer(tuned, HIVE, TOWER)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    assert len(kept) == 3
    assert kept.items() <= {path.name: path.read_bytes() for path in (tmp_path / "tuned").iterdir()}.items()


def test_a_prompt_with_another_beginning_is_read_as_ever(load):
    tuned, plain = load(0.3), load()
    for model in (tuned, plain):
        for _ in model.read(model.render(build_messages_alone(HOW_MANY)), Cancellation()):
            pass
    assert tuned.log_probability("The") == plain.log_probability("The")


def test_states_of_another_shape_are_left_alone(load):
    model, plain = load(0.3), load()
    learnt = model._reader._tuned
    model._reader._tuned = TunedPrefix(
        learnt.beginning, learnt.keys[:-1], learnt.key_steps[:-1], learnt.values[:-1], learnt.value_steps[:-1]
    )
    assert answer(model, HIVE, TOWER) == answer(plain, HIVE, TOWER)


def test_weights_for_which_nothing_was_learnt_have_nothing(load):
    assert tuned_prefix_for(load().fingerprint) is None


def test_what_is_in_the_package_fits_the_default_weights_and_the_prompt_as_it_is(default_model_path):
    model = LlamaModel(default_model_path, context_length=1024, threads=2)
    learnt = model._reader._tuned
    beginning = model._tokenized(model.render(build_messages(HOW_MANY, [HIVE, TOWER]))).beginning
    model.close()
    assert learnt is not None
    assert learnt.fits(beginning)
    assert learnt.keys.shape == learnt.values.shape == (28, len(beginning), 256)
