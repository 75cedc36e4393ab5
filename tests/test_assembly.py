"""The whole, over the toy corpus with a given model."""

import threading
import time
from dataclasses import replace

import pytest

from fakes import ScriptedModel
from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError, WeightsError
from fieldguide.events import Finished


class Endless(ScriptedModel):
    """Never ends reading ahead unless it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def warm(self, prompt, cancellation) -> None:
        self.begun.set()
        while not cancellation.is_cancelled:
            threading.Event().wait(0.005)
        super().warm(prompt, cancellation)


def test_reading_ahead_says_how_far_it_is(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    list(fieldguide.loading())
    steps = list(fieldguide.warm())
    count = len(fieldguide.chunks())
    assert [step.detail for step in steps] == [f"{n} of {count}" for n in range(1, count + 1)]
    assert fieldguide.still_loading == []
    fieldguide.close()


def test_closing_ends_the_reading_ahead_before_the_model_goes(fieldguide_with):
    model = Endless()
    fieldguide = fieldguide_with(model)
    list(fieldguide.loading())
    fieldguide.warm_in_background()
    assert model.begun.wait(60)
    fieldguide.close()
    assert model.closed
    assert not any(thread.name == "warm" for thread in threading.enumerate())


def test_without_a_passage_cache_nothing_is_read_ahead(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    fieldguide.settings = replace(fieldguide.settings, passage_cache_gb=0.0)
    list(fieldguide.loading())
    assert list(fieldguide.warm()) == []
    fieldguide.close()


def swapped(fieldguide, model):
    fieldguide._load_model = lambda wanted=None: model
    return list(fieldguide.use_model("fast"))


def test_another_model_takes_over_and_the_old_one_is_closed(fieldguide_with):
    old, new = ScriptedModel(["Old."]), ScriptedModel(["The queen lays up to 2,000 eggs a day."])
    fieldguide = fieldguide_with(old)
    list(fieldguide.loading())
    swapped(fieldguide, new)
    assert (old.closed, new.closed) == (True, False)
    assert list(fieldguide.answer("How many eggs does the queen lay?"))[-1].answer.text.startswith("The queen")
    assert fieldguide.settings.model == "fast"
    fieldguide.close()


def test_a_model_that_cannot_be_loaded_leaves_the_old_one(fieldguide_with):
    old = ScriptedModel()
    fieldguide = fieldguide_with(old)
    list(fieldguide.loading())
    fieldguide._load_model = Fieldguide._load_model.__get__(fieldguide)
    with pytest.raises(WeightsError):
        list(fieldguide.use_model("/nowhere/model.gguf"))
    assert not old.closed
    assert fieldguide.settings.model == "default"
    assert isinstance(list(fieldguide.answer("How many bees live in a hive?"))[-1], Finished)
    fieldguide.close()


def test_the_model_is_not_taken_from_an_answer_under_way(fieldguide_with):
    old = ScriptedModel()
    fieldguide = fieldguide_with(old)
    list(fieldguide.loading())
    stream = fieldguide.answer("How many bees live in a hive?")
    next(stream)
    switching = threading.Thread(target=swapped, args=(fieldguide, ScriptedModel()))
    switching.start()
    switching.join(0.5)
    assert switching.is_alive()
    assert not old.closed
    assert isinstance(list(stream)[-1], Finished)
    switching.join(60)
    assert old.closed
    fieldguide.close()


def test_of_two_models_that_are_chosen_at_once_only_one_stays_open(fieldguide_with):
    first, *others = models = [ScriptedModel() for _ in range(3)]
    fieldguide = fieldguide_with(first)
    list(fieldguide.loading())
    waiting = iter(others)
    fieldguide._load_model = lambda wanted=None: next(waiting)
    switches = [fieldguide.use_model("fast"), fieldguide.use_model("tiny")]
    for switch in switches:
        next(switch)
    for switch in switches:
        list(switch)
    assert [model.closed for model in models].count(False) == 1
    fieldguide.close()
    assert all(model.closed for model in models)


def test_a_model_that_nobody_waits_for_any_more_is_closed(fieldguide_with):
    old, new = ScriptedModel(), ScriptedModel()
    loaded = threading.Event()
    fieldguide = fieldguide_with(old)
    list(fieldguide.loading())

    def load(wanted=None):
        loaded.wait(60)
        return new

    fieldguide._load_model = load
    switch = fieldguide.use_model("fast")
    next(switch)
    switch.close()  # its tab was closed
    loaded.set()
    until = time.monotonic() + 60
    while not new.closed and time.monotonic() < until:
        time.sleep(0.01)
    assert (new.closed, old.closed) == (True, False)
    fieldguide.close()


def test_whatever_keeps_a_half_from_loading_has_words(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    fieldguide._load_embedder = lambda report: {}["no such thing"]
    with pytest.raises(FieldguideError, match="Something broke"):
        list(fieldguide.loading())
    fieldguide.close()


def test_reading_ahead_goes_on_with_the_other_model(fieldguide_with):
    fieldguide, new = fieldguide_with(Endless()), ScriptedModel()
    list(fieldguide.loading())
    fieldguide.warm_in_background()
    swapped(fieldguide, new)
    fieldguide._warmer.join(60)
    assert len(new.warmed) == len(fieldguide.chunks())
    fieldguide.close()
