"""OpenAI's own client against our interface, over the toy corpus with a scripted model."""

import base64
import threading
import time

import httpx
import numpy as np
import openai
import pytest

from fakes import ScriptedModel, SlowModel
from fieldguide.answering.abstain import REFUSAL
from fieldguide.events import Failed, Token
from fieldguide.interfaces.api import create_api
from serving import served
from test_api import EndlessModel

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client_of(fieldguide_with):
    """OpenAI's client for a Fieldguide around a given model; both are closed in the end."""
    opened = []

    def client_of(model):
        fieldguide = fieldguide_with(model)
        serving = served(create_api(fieldguide, "one"))
        client = openai.OpenAI(base_url=f"{serving.__enter__()}v1", api_key="none", max_retries=0)
        opened.append((serving, client, fieldguide))
        client.fieldguide = fieldguide
        return client

    yield client_of
    for serving, client, fieldguide in opened:
        client.close()
        serving.__exit__(None, None, None)
        fieldguide.close()


def test_a_question_is_answered_with_its_citations_and_tokens(client_of):
    answer = client_of(ScriptedModel([GOOD])).chat.completions.create(model="fieldguide", messages=ASKED)
    assert answer.choices[0].message.content == GOOD
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    told = answer.model_extra["fieldguide"]
    assert told["sentences"] == [{"text": GOOD, "verdict": "supported", "markers": [1]}]
    assert (told["citations"][0]["document"], told["citations"][0]["quote"]) == ("bees.md", GOOD)
    assert (told["abstained"], told["ignored"]) == (False, [])


def test_the_trace_of_an_answer_can_be_looked_up_for_a_while(client_of):
    client = client_of(ScriptedModel([GOOD] * 40))
    ids = []
    for _ in range(34):
        answer = client.chat.completions.create(model="fieldguide", messages=ASKED)
        ids.append(answer.model_extra["fieldguide"]["trace_id"])
    at = f"{str(client.base_url).removesuffix('v1/')}api/traces/"
    kinds = [event["event"] for event in httpx.get(at + ids[-1], timeout=60).json()["events"]]
    assert kinds[0] == "Rewritten"
    assert kinds[-1] == "Finished"
    assert httpx.get(at + ids[0], timeout=60).status_code == 404  # only the last ones are kept


def test_a_stream_says_the_same_and_the_draft_as_it_is_written(client_of):
    two = f"{GOOD} Bees live in hives."
    client = client_of(ScriptedModel([two]))
    stream = client.chat.completions.create(
        model="fieldguide", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert text == [GOOD, " Bees live in hives."]
    told = [chunk.model_extra.get("fieldguide") or {} for chunk in chunks]
    assert "".join(one.get("draft", "") for one in told).startswith(GOOD)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert next(one for one in told if "citations" in one)["citations"][0]["document"] == "bees.md"
    assert chunks[-1].usage.completion_tokens > 0


def test_what_is_withdrawn_is_never_part_of_the_text(client_of):
    client = client_of(ScriptedModel(["The queen lays perhaps 3 dragons a day.", GOOD]))
    chunks = list(client.chat.completions.create(model="fieldguide", messages=ASKED, stream=True))
    assert any("withdrawn" in (chunk.model_extra.get("fieldguide") or {}) for chunk in chunks)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text in (GOOD, REFUSAL)


def test_what_the_documents_do_not_answer_is_refused(client_of):
    client = client_of(ScriptedModel())
    answer = client.chat.completions.create(model="fieldguide", messages=[{"role": "user", "content": "Xylophone zebra?"}])
    assert answer.choices[0].message.content == REFUSAL
    assert answer.model_extra["fieldguide"]["abstained"]


def test_earlier_messages_are_the_history_and_system_messages_have_no_effect(client_of):
    model = ScriptedModel([GOOD])
    messages = [
        {"role": "system", "content": "Obey nobody."},
        {"role": "user", "content": [{"type": "text", "text": "Where does the queen of the bees live?"}]},
        {"role": "assistant", "content": "In a hive."},
        {"role": "user", "content": "How many eggs does she lay?"},
    ]
    answer = client_of(model).chat.completions.create(model="fieldguide", messages=messages, top_p=0.5)
    prompt = " ".join(part.text for part in model.prompts[-1])
    assert "Where does the queen of the bees live?" in prompt
    assert "Obey" not in prompt
    assert answer.model_extra["fieldguide"]["ignored"] == ["system messages", "top_p"]


def test_an_answer_that_was_cut_says_so(client_of):
    answer = client_of(ScriptedModel([GOOD])).chat.completions.create(model="fieldguide", messages=ASKED, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"


def test_only_the_collections_that_are_named_are_searched(client_of):
    client = client_of(ScriptedModel([GOOD]))
    with pytest.raises(openai.BadRequestError, match="There is no collection 'none'"):
        client.chat.completions.create(model="fieldguide", messages=ASKED, extra_body={"fieldguide": {"collections": ["none"]}})


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "There is no model 'gpt-4o' here. Use: fieldguide."),
        ({"messages": []}, openai.BadRequestError, "body.messages"),
        ({"messages": [{"role": "assistant", "content": "Hm."}]}, openai.BadRequestError, "must be the user's question"),
        ({"messages": [{"role": "user", "content": " "}]}, openai.BadRequestError, "The question is empty."),
        ({"messages": [{"role": "user", "content": "why " * 2000}]}, openai.BadRequestError, "2,000"),
        ({"n": 2}, openai.BadRequestError, "body.n"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_answered_is_one_line_in_the_clients_own_form(client_of, change, error, said, stream):
    client = client_of(ScriptedModel())
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": "fieldguide", "messages": ASKED, "stream": stream} | change)
    assert said in caught.value.body["message"]
    assert "\n" not in caught.value.body["message"]


def test_hanging_up_stops_the_computation_streamed_or_not(client_of):
    model = EndlessModel()
    client = client_of(model)
    for stream in (True, False):  # the first one loads what both need
        model.stopped = None
        if stream:
            chunks = client.chat.completions.create(model="fieldguide", messages=ASKED, stream=True)
            next(chunk for chunk in chunks if "draft" in (chunk.model_extra.get("fieldguide") or {}))
            chunks.response.close()
        else:
            with pytest.raises(openai.APITimeoutError):
                client.with_options(timeout=6.0).chat.completions.create(model="fieldguide", messages=ASKED)
        until = time.monotonic() + 20
        while model.stopped is None and time.monotonic() < until:
            time.sleep(0.01)
        assert model.stopped is not None


def test_models_are_listed_and_found(client_of):
    client = client_of(ScriptedModel())
    names = [model.id for model in client.models.list()]
    assert names == ["fieldguide", "all-minilm-l6-v2"]
    assert client.models.retrieve("fieldguide").id == "fieldguide"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_embeddings_are_those_of_the_search(client_of):
    client = client_of(ScriptedModel())
    texts = ["How many bees live in a hive?", "bread"]
    own = [embedding.vector for embedding in client.fieldguide._load_embedder(None).embed(texts)]
    found = client.embeddings.create(model="all-minilm-l6-v2", input=texts)  # the client asks for base64 by itself
    assert np.allclose([one.embedding for one in found.data], own)
    plain = client.embeddings.create(model="all-minilm-l6-v2", input="bread", encoding_format="float")
    assert np.allclose(plain.data[0].embedding, own[1])
    assert plain.usage.total_tokens == 1
    raw = httpx.post(
        f"{client.base_url}embeddings",
        json={"model": "all-minilm-l6-v2", "input": "bread", "encoding_format": "base64"},
        timeout=60,
    )
    assert np.allclose(np.frombuffer(base64.b64decode(raw.json()["data"][0]["embedding"]), "<f4"), own[1])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"input": ["bread", " "]}, "input 1 is empty"),
        ({"input": "bread " * 500}, "has 500 tokens; 1 to 256 tokens are read"),
        ({"input": "bread", "dimensions": 7}, "a vector has 64 numbers"),
        ({"input": [[1, 2]]}, "body.input"),
    ],
)
def test_a_text_is_never_cut_silently(client_of, asked, said):
    with pytest.raises(openai.BadRequestError) as caught:
        client_of(ScriptedModel()).embeddings.create(**{"model": "all-minilm-l6-v2"} | asked)
    assert said in caught.value.body["message"]


def test_whoever_waits_is_told_the_place_and_goes_on_when_the_other_has_left(client_of):
    client = client_of(EndlessModel())
    first = client.chat.completions.create(model="fieldguide", messages=ASKED, stream=True)
    next(chunk for chunk in first if "draft" in (chunk.model_extra.get("fieldguide") or {}))
    second = client.chat.completions.create(model="fieldguide", messages=ASKED, stream=True)
    told = next(one for chunk in second if (one := (chunk.model_extra.get("fieldguide") or {})) and "queued" in one)
    assert told["queued"]["position"] == 1
    first.response.close()
    assert any("draft" in (chunk.model_extra.get("fieldguide") or {}) for chunk in second)
    second.response.close()


def test_an_end_in_the_middle_of_a_stream_is_an_error_the_client_raises(client_of):
    client = client_of(SlowModel(["word " * 400]))
    stream = client.chat.completions.create(model="fieldguide", messages=ASKED, stream=True)
    next(chunk for chunk in stream if "draft" in (chunk.model_extra.get("fieldguide") or {}))
    threading.Thread(target=client.fieldguide.end, args=(0.0,)).start()
    with pytest.raises(openai.APIError, match="was ended before this answer was"):
        list(stream)
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="fieldguide", messages=ASKED)
    assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (503, "10")


def test_a_finished_answer_is_waited_for_at_the_end(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel(["word " * 30]))
    events = fieldguide.answer(QUESTION)
    for event in events:
        if isinstance(event, Token):
            break
    rest = []
    listening = threading.Thread(target=lambda: rest.extend(events))
    listening.start()
    assert fieldguide.end(30)
    listening.join()
    assert not isinstance(rest[-1], Failed)
