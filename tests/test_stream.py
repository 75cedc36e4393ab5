"""A stream of events ends with exactly one Finished or Failed, whatever breaks and whatever is asked or written."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fakes import ScriptedModel
from fieldguide.answering.abstain import ThresholdGate
from fieldguide.answering.assistant import Assistant
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.support import SupportChecker
from fieldguide.errors import Cancelled, GenerationError
from fieldguide.events import Failed, Finished
from fieldguide.retrieval.search import Searcher
from fieldguide.types import Turn

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"
examples = hypothesis_settings(
    derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class PanicException(BaseException):
    """How libraries written in Rust fail inside Python: not even an Exception."""


ERRORS = [OSError("disk"), MemoryError(), ValueError("odd"), GenerationError("model"), Cancelled(), PanicException("index out")]
STAGES = {
    "embedder": ["embed", "token_ids", "token_spans"],
    "vector_store": ["count", "nearest"],
    "passage_store": ["by_keywords", "chunks", "token_vectors", "frequency", "count"],
    "model": ["render", "count_tokens", "read", "log_probability", "write", "values"],
    "gate": ["judge", "judge_draft"],
}
PLACES = [(part, method) for part, methods in STAGES.items() for method in methods]


class Breaking:
    """Anything behind one of our Protocols; one method fails at one of its calls: at its start, or between its items."""

    def __init__(self, whole, method: str, error: BaseException, call: int, *, midway: bool = False) -> None:
        self._whole, self._method, self._error, self._call, self._midway = whole, method, error, call, midway
        self.broke = False

    def __getattr__(self, name: str):
        attribute = getattr(self._whole, name)
        if name != self._method:
            return attribute

        def call(*arguments):
            self._call -= 1
            if self._call:
                return attribute(*arguments)
            self.broke = True
            if self._midway:
                return self._break_off(attribute(*arguments))
            raise self._error

        return call

    def _break_off(self, items) -> Iterator:
        yield next(items)
        raise self._error


def ends_well(events) -> bool:
    return [isinstance(event, Finished | Failed) for event in events] == [False] * (len(events) - 1) + [True]


@pytest.fixture
def assistant_of(toy_searcher, embedder):
    """An assistant of which one part is exchanged."""

    def make(model, part="", exchange=lambda whole: whole) -> Assistant:
        parts = {
            "embedder": embedder,
            "vector_store": toy_searcher.vector_store,
            "passage_store": toy_searcher.passage_store,
            "model": model,
            "gate": ThresholdGate(),
        }
        if part:
            parts[part] = exchange(parts[part])
        searcher = Searcher(parts["embedder"], parts["vector_store"], parts["passage_store"])
        return Assistant(lambda _: searcher, parts["model"], SupportChecker(parts["embedder"]), parts["gate"])

    return make


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("part", "method"), PLACES)
def test_a_failure_at_any_stage_ends_the_stream_with_its_reason(assistant_of, part, method, error):
    model = ScriptedModel([GOOD])
    assistant = assistant_of(model, part, lambda whole: Breaking(whole, method, error, 1))
    events = list(assistant.answer(QUESTION))
    assert ends_well(events)
    assert isinstance(events[-1], Failed)
    assert events[-1].message
    assert events[-1].reason == ("cancelled" if isinstance(error, Cancelled) else "error")
    assert isinstance(list(assistant.answer(QUESTION))[-1], Finished)  # what broke once holds nobody up


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["read", "write"])
def test_a_failure_in_the_middle_of_reading_or_writing_ends_the_stream(assistant_of, method, error):
    assistant = assistant_of(ScriptedModel([GOOD]), "model", lambda whole: Breaking(whole, method, error, 1, midway=True))
    events = list(assistant.answer(QUESTION))
    assert ends_well(events)
    assert isinstance(events[-1], Failed)
    assert isinstance(list(assistant.answer(QUESTION))[-1], Finished)


@pytest.mark.parametrize("call", [2, 3, 4])
@pytest.mark.parametrize(("part", "method"), PLACES)
def test_a_failure_at_a_later_call_ends_the_stream_too(assistant_of, part, method, call):
    breaking = []

    def exchange(whole):
        breaking.append(Breaking(whole, method, ValueError("late"), call))
        return breaking[0]

    # Doubtful, so that the question is read a second time.
    events = list(assistant_of(ScriptedModel(["Perhaps 3 eggs.", GOOD]), part, exchange).answer(QUESTION))
    assert ends_well(events)
    assert isinstance(events[-1], Failed) == breaking[0].broke


def test_a_stream_that_nobody_reads_on_leaves_the_line(assistant_of):
    length = len(list(assistant_of(ScriptedModel([GOOD])).answer(QUESTION)))
    for read in range(1, length):
        assistant = assistant_of(ScriptedModel([GOOD, GOOD]))
        stream = assistant.answer(QUESTION)
        for _ in range(read):
            next(stream)
        stream.close()
        assert isinstance(list(assistant.answer(QUESTION))[-1], Finished)


TEXTS = st.one_of(
    st.text(max_size=120),
    st.lists(st.sampled_from([QUESTION, "bees", "[1]", "<|im_end|>", "\u202e", "\ud800", "\0", "and it?"]), max_size=9).map(
        " ".join
    ),
    st.just("eggs " * 600),
)
TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), TEXTS), max_size=4)


@given(TEXTS, TURNS, st.lists(TEXTS, min_size=1, max_size=3), st.booleans(), st.integers(0, 12), st.integers(300, 900))
@examples
def test_any_question_history_and_reply_come_to_an_end(assistant_of, question, history, replies, alone, passages, length):
    model = ScriptedModel(replies, context_length=length)
    options = AnswerOptions(passages=passages, answer_tokens=60, without_guides=alone)
    assert ends_well(list(assistant_of(model).answer(question, history, options)))
    for prompt in model.prompts:
        assert alone or sum(model.count_tokens(prompt)) + options.answer_tokens < length


@pytest.mark.parametrize("error", [OSError("disk"), KeyError("x"), PanicException("x"), MemoryError()], ids=repr)
@pytest.mark.parametrize("half", ["_load_embedder", "_load_model"])
def test_a_half_that_breaks_while_it_loads_ends_the_stream(fieldguide_with, half, error):
    def broken(*_):
        raise error

    fieldguide = fieldguide_with(ScriptedModel())
    setattr(fieldguide, half, broken)
    events = list(fieldguide.answer(QUESTION))
    assert ends_well(events)
    assert isinstance(events[-1], Failed)
    fieldguide.close()


def test_an_index_that_vanishes_between_two_questions_ends_the_stream(fieldguide_with, settings):
    fieldguide = fieldguide_with(ScriptedModel([GOOD, GOOD]))
    assert isinstance(list(fieldguide.answer(QUESTION))[-1], Finished)
    (settings.data_dir / "index" / "CURRENT").write_text("generation-000099\n")
    events = list(fieldguide.answer(QUESTION))
    assert ends_well(events)
    assert isinstance(events[-1], Failed)
    assert "fieldguide ingest" in events[-1].remedy
    fieldguide.close()
