"""The whole, over the toy corpus with a given model."""

import threading
from dataclasses import replace

from fakes import ScriptedModel


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
    assert model.begun.wait(5)
    fieldguide.close()
    assert model.closed
    assert not any(thread.name == "warm" for thread in threading.enumerate())


def test_without_a_passage_cache_nothing_is_read_ahead(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    fieldguide.settings = replace(fieldguide.settings, passage_cache_gb=0.0)
    list(fieldguide.loading())
    assert list(fieldguide.warm()) == []
    fieldguide.close()
