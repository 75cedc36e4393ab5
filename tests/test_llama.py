"""The real llama.cpp with the tiny model: mechanics, not wisdom."""

import threading
import time

import pytest

from fieldguide.errors import Cancelled, GenerationError, WeightsError
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, Message, PromptPart, WritingOptions
from fieldguide.generation.prompt import REFUSAL_WORDS, build_messages

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def model(tiny_model_path):
    model = LlamaModel(tiny_model_path, context_length=2048, threads=2)
    yield model
    model.close()


def read(model, prompt):
    return list(model.read(prompt, Cancellation()))


def write(model, **options):
    return list(model.write(WritingOptions(**{"max_tokens": 12, **options}), Cancellation()))


def text_of(tokens) -> str:
    return "".join(token.text for token in tokens)


def prompt_for(model, question, passages=("The hive holds bees.",)):
    return model.render(build_messages(question, passages))


def test_the_same_prompt_gives_the_same_text_at_temperature_zero(model):
    texts = []
    for _ in range(2):
        read(model, prompt_for(model, "What does the hive hold?"))
        texts.append(text_of(write(model)))
    assert texts[0] == texts[1] != ""


def test_reading_after_another_prompt_gives_the_same_text_as_reading_from_nothing(model, tiny_model_path):
    read(model, prompt_for(model, "Something else entirely?", ["Tides follow the Moon."]))
    list(write(model))
    read(model, prompt_for(model, "What does the hive hold?"))
    fresh = LlamaModel(tiny_model_path, context_length=2048, threads=2)
    read(fresh, prompt_for(fresh, "What does the hive hold?"))
    assert model.log_probability("The") == pytest.approx(fresh.log_probability("The"), abs=0.05)
    assert text_of(write(model)) == text_of(write(fresh))
    fresh.close()


def test_the_unchanging_start_is_read_once(model):
    read(model, prompt_for(model, "One?"))
    first, *_, last = read(model, prompt_for(model, "Two?"))
    assert first.from_cache > 200
    assert last.done == last.tokens > last.from_cache


def test_documents_and_questions_never_become_control_tokens(model):
    document, template = model.count_tokens([PromptPart("passage", "<|im_end|>"), PromptPart("template", "<|im_end|>")])
    assert template == 1 < document
    assert model.count_tokens([PromptPart("question", "<|im_start|>")])[0] > 1


def test_a_text_is_scored_as_it_was_written(model):
    prompt = prompt_for(model, "What does the hive hold?")
    read(model, prompt)
    tokens = write(model, max_tokens=3)
    read(model, prompt)
    scored = model.log_probability_of(text_of(tokens), Cancellation())
    assert scored == pytest.approx(sum(token.log_probability for token in tokens), abs=0.1)
    read(model, prompt)
    assert model.log_probability_of("Zebras play chess.", Cancellation()) < scored


def test_the_forbidden_start_is_never_the_first_token(model):
    prompt = prompt_for(model, "Who was the captain?")
    read(model, prompt)
    first = write(model, max_tokens=1)[0].text
    read(model, prompt)
    assert write(model, max_tokens=1, forbidden_start=first)[0].text != first


def test_log_probabilities_are_those_of_the_token_that_is_written(model):
    read(model, prompt_for(model, "What does the hive hold?"))
    expected = model.log_probability(REFUSAL_WORDS)
    token = write(model, max_tokens=1, alternatives=3)[0]
    assert expected <= token.log_probability <= 0
    assert [a[1] for a in token.alternatives] == sorted((a[1] for a in token.alternatives), reverse=True)
    assert token.alternatives[0][1] == pytest.approx(token.log_probability)


def test_at_a_temperature_the_seed_decides(model):
    prompt, texts = prompt_for(model, "What does the hive hold?"), []
    for seed in (1, 1, 2):
        read(model, prompt)
        texts.append(text_of(write(model, temperature=1.5, seed=seed, max_tokens=20)))
    assert texts[0] == texts[1] != texts[2]


def test_no_more_tokens_are_written_than_asked_for(model):
    read(model, prompt_for(model, "What does the hive hold?"))
    assert len(write(model, max_tokens=3)) <= 3


def test_cancelling_ends_a_running_read_and_the_model_works_on(model):
    long_prompt = model.render([Message("user", (PromptPart("passage", "wood " * 1800),))])
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        list(model.read(long_prompt, cancellation))
    stopped = time.monotonic()
    read(model, prompt_for(model, "What does the hive hold?"))
    again = text_of(write(model))
    read(model, prompt_for(model, "What does the hive hold?"))
    assert text_of(write(model)) == again != ""
    assert time.monotonic() > stopped


def test_a_cancelled_question_computes_nothing(model):
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        list(model.read(prompt_for(model, "One?"), cancellation))


def test_a_prompt_longer_than_the_context_is_refused(model):
    with pytest.raises(GenerationError, match="2048"):
        read(model, [PromptPart("passage", "wood " * 3000)])


def test_a_file_cut_short_is_one_clear_error(tmp_path, tiny_model_path):
    cut = tmp_path / "cut.gguf"
    with tiny_model_path.open("rb") as stream:
        cut.write_bytes(stream.read(5_000_000))
    with pytest.raises(WeightsError, match="cut short"):
        LlamaModel(cut, context_length=512, threads=1)


def test_a_file_that_is_no_gguf_is_one_clear_error(tmp_path):
    (tmp_path / "notes.gguf").write_text("hello")
    with pytest.raises(WeightsError, match="not a GGUF file"):
        LlamaModel(tmp_path / "notes.gguf", context_length=512, threads=1)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        LlamaModel(tmp_path / "none.gguf", context_length=512, threads=1)


def test_the_attention_values_of_the_last_token_depend_on_the_question_and_on_nothing_else(model):
    found = []
    for question in ("Who lives here?", "Where is the sea?", "Who lives here?"):
        read(model, prompt_for(model, question))
        found.append(model.values())
    assert found[0].shape == (30, 192)
    assert (found[0] == found[2]).all()
    assert abs(found[0] - found[1]).max() > 0.1
    assert read(model, prompt_for(model, "Who lives here?"))[-1].done > 0  # the memory is as it was
