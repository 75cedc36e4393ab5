"""A language model on a real server that speaks OpenAI's interface: python -m llama_cpp.server with the tiny weights."""

import socket
import time
from dataclasses import replace

import pytest

from fieldguide import engines
from fieldguide.assembly import Fieldguide
from fieldguide.errors import Cancelled, FieldguideError, GenerationError, RemoteError
from fieldguide.events import Failed, Finished, Gated, Prompted, Reading, Token
from fieldguide.generation.model import Cancellation, Message, PromptPart, WritingOptions
from fieldguide.generation.remote import RemoteModel
from servers import Proxy, model_server

QUESTION = "How many eggs does the queen lay?"

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def served(tiny_model_path):
    with model_server(tiny_model_path) as url:
        yield url


@pytest.fixture
def proxy(served):
    proxy = Proxy(served)
    yield proxy
    proxy.close()


def prompt(model: RemoteModel, question: str = "Say: bees."):
    system = Message("system", (PromptPart("instructions", "You are brief."),))
    return model.render([system, Message("user", (PromptPart("question", question),))])


def written(model: RemoteModel, max_tokens: int = 12, cancellation: Cancellation | None = None) -> str:
    list(model.read(prompt(model), Cancellation()))
    return "".join(token.text for token in model.write(WritingOptions(max_tokens), cancellation or Cancellation()))


@pytest.fixture
def fieldguide_on(settings, embedder):
    """A Fieldguide over the toy corpus whose language model is on a server."""
    made = []

    def fieldguide_on(url: str) -> Fieldguide:
        fieldguide = Fieldguide(replace(settings, llm_url=url, answer_tokens=16, passages=1))
        fieldguide._load_embedder = lambda report: embedder
        made.append(fieldguide)
        return fieldguide

    yield fieldguide_on
    for fieldguide in made:
        fieldguide.close()


def test_the_server_writes_and_says_what_its_model_is_called(served):
    model = RemoteModel(served, context_length=2048)
    assert model.name == "tiny"
    assert written(model)
    assert written(model) == written(model)  # at temperature 0
    model.close()


def test_a_question_is_answered_through_a_server_and_what_is_unknown_there_is_left_out(fieldguide_on, served):
    events = list(fieldguide_on(served).answer(QUESTION))
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Prompted) for event in events)
    (before, *_) = [event for event in events if isinstance(event, Gated)]
    assert (before.answerable, set(before.signals)) == (True, {"best_score"})
    tokens = [event for event in events if isinstance(event, Token)]
    assert tokens
    assert all(token.log_probability is None for token in tokens)
    assert all(event.passages_from_cache == () for event in events if isinstance(event, Reading))


def test_the_passage_cache_and_reading_ahead_are_off_with_a_server(fieldguide_on, served):
    fieldguide = fieldguide_on(served)
    list(fieldguide.loading())
    assert list(fieldguide.warm()) == []
    assert engines.passage_cache(fieldguide.settings) is None
    assert engines.passage_cache(replace(fieldguide.settings, llm_url="")) is not None
    assert list(fieldguide.models().values()) == [f"The model at {served}"]


def test_what_needs_probabilities_says_that_a_server_has_none(served):
    model = RemoteModel(served, context_length=2048)
    assert model.log_probability("The guides") is None
    assert model.values() is None
    with pytest.raises(GenerationError, match="does not tell how likely"):
        model.log_probability_of("The queen", Cancellation())
    model.close()


def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(served):
    model = RemoteModel(served, context_length=200)
    with pytest.raises(GenerationError, match="the context holds 200"):
        list(model.read(prompt(model, "bees " * 300), Cancellation()))
    model.close()


def test_a_server_that_is_busy_for_a_moment_is_asked_again(proxy):
    proxy.refuse = 2
    model = RemoteModel(f"{proxy.url}/v1", context_length=2048)
    assert proxy.refuse == 0
    proxy.hang_up()
    proxy.refuse = 2
    assert written(model)
    assert proxy.refuse == 0
    model.close()


def test_a_server_that_stays_busy_is_named_in_one_line(proxy):
    proxy.refuse = 99
    with pytest.raises(RemoteError, match="answered 503") as told:
        RemoteModel(f"{proxy.url}/v1", context_length=2048)
    assert proxy.url in told.value.message
    assert "\n" not in str(told.value)


def test_an_answer_that_is_cut_ends_in_a_clear_failure_and_the_next_question_works(fieldguide_on, proxy):
    fieldguide = fieldguide_on(f"{proxy.url}/v1")
    list(fieldguide.loading())
    proxy.hang_up()
    proxy.cut_after = 400
    last = list(fieldguide.answer(QUESTION))[-1]
    assert isinstance(last, Failed)
    assert "broke off its answer" in last.message
    assert "llm_url" in last.remedy
    assert isinstance(list(fieldguide.answer(QUESTION))[-1], Finished)


def test_a_stop_is_heard_while_the_server_writes(served):
    model, cancellation = RemoteModel(served, context_length=2048), Cancellation()
    list(model.read(prompt(model, "Tell a long story about bees."), Cancellation()))
    stream = model.write(WritingOptions(500), cancellation)
    next(stream)
    cancellation.cancel()
    with pytest.raises(Cancelled):
        list(stream)
    assert written(model)  # the server is free again
    model.close()


def test_nobody_there_an_unknown_model_and_no_such_interface_are_told_apart(served):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        nobody = f"http://127.0.0.1:{listening.getsockname()[1]}"
    for url, model, said in [
        (f"{nobody}/v1", "", "cannot be reached"),
        (served, "large", "serves no model 'large'"),
        (f"{served}/elsewhere", "", "answered 404"),
    ]:
        with pytest.raises(FieldguideError, match=said):
            RemoteModel(url, model, context_length=2048)


def test_a_server_that_is_not_there_keeps_the_question_from_being_answered_and_says_what_to_do(fieldguide_on):
    began = time.monotonic()
    last = list(fieldguide_on("http://127.0.0.1:9/v1").answer(QUESTION))[-1]
    assert isinstance(last, Failed)
    assert "cannot be reached" in last.message
    assert "llm_url" in last.remedy
    assert time.monotonic() - began < 60  # not for ever
