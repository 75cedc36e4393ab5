"""The event stream, over the toy corpus in a real index, with a scripted model."""

import threading
import time

import pytest

from fakes import ScriptedModel
from fieldguide.answering.abstain import REFUSAL, ThresholdGate
from fieldguide.answering.assistant import MAX_QUESTION_CHARACTERS, Assistant
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.support import SupportChecker
from fieldguide.errors import Cancelled, GenerationError
from fieldguide.events import (
    Checked,
    Compared,
    Failed,
    Finished,
    Gated,
    Prompted,
    Queued,
    Quoted,
    Reread,
    Retrieved,
    Rewritten,
    Token,
    Withdrawn,
    as_object,
)
from fieldguide.generation.model import Cancellation
from fieldguide.generation.prompt import NEAREST
from fieldguide.retrieval.search import Searcher
from fieldguide.types import Chunk, Turn

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


def kinds(events) -> list[str]:
    names: list[str] = []
    for event in events:
        name = type(event).__name__
        if not names or names[-1] != name:
            names.append(name)
    return names


def one(events, kind):
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def test_the_events_of_an_answer_come_in_order(assistant_with):
    events = list(assistant_with(ScriptedModel([GOOD])).answer(QUESTION))
    assert kinds(events) == [
        "Rewritten", "Retrieved", "Quoted", "Prompted", "Reading", "Gated", "Token", "Checked", "Gated",
        "Finished",
    ]  # fmt: skip


def test_a_verdict_comes_while_the_model_writes_on_and_is_the_one_of_the_answer(assistant_with):
    *events, last = assistant_with(ScriptedModel([f"{GOOD} A hive holds 20,000 to 60,000 bees in summer."])).answer(QUESTION)
    first, second = [number for number, event in enumerate(events) if isinstance(event, Checked)]
    assert any(isinstance(event, Token) for event in events[first:second])
    assert not any(isinstance(event, Token) for event in events[second:])
    assert tuple(events[number].sentence for number in (first, second)) == last.answer.sentences
    assert tuple(c for number in (first, second) for c in events[number].citations) == last.answer.citations


def test_an_answer_carries_its_citation_and_what_was_retrieved(assistant_with):
    answer = list(assistant_with(ScriptedModel([GOOD])).answer(QUESTION))[-1].answer
    assert answer.text == GOOD
    assert not answer.abstained
    assert [s.verdict for s in answer.sentences] == ["supported"]
    assert answer.citations[0].quote == "The queen lays up to 2,000 eggs a day."
    assert answer.citations[0].document == "bees.md"
    assert len(answer.retrieved) >= 5
    assert [hit.rank for hit in answer.retrieved] == list(range(1, len(answer.retrieved) + 1))


def test_the_json_object_has_exactly_the_promised_keys(assistant_with):
    content = list(assistant_with(ScriptedModel([GOOD])).answer(QUESTION))[-1].answer.as_object()
    assert list(content) == [
        "question",
        "answer",
        "abstained",
        "sentences",
        "citations",
        "retrieved",
        "timings",
        "tokens",
        "note",
    ]
    assert list(content["sentences"][0]) == ["text", "verdict", "markers"]
    assert list(content["citations"][0]) == ["marker", "document", "section", "quote", "passage"]
    assert list(content["retrieved"][0]) == ["rank", "document", "section", "text", "score"]
    assert list(content["timings"]) == ["rewrite_s", "retrieve_s", "first_token_s", "total_s"]
    assert list(content["tokens"]) == ["prompt", "reused", "generated"]
    assert content["citations"][0]["quote"] in content["citations"][0]["passage"]


def test_a_cited_passage_is_the_text_that_the_model_was_given(assistant_with):
    events = list(assistant_with(ScriptedModel([GOOD])).answer(QUESTION))
    given = [part.text.strip() for part in one(events, Prompted).parts if part.kind == "passage"]
    assert events[-1].answer.citations[0].passage in given


def test_a_question_that_the_passages_do_not_touch_is_refused_without_a_word_from_the_model(assistant_with):
    events = list(assistant_with(ScriptedModel([GOOD])).answer("Xylophone zebra?"))
    answer = events[-1].answer
    assert not one(events, Gated).answerable
    assert not any(isinstance(event, Token) for event in events)
    assert (answer.text, answer.abstained, answer.citations, answer.sentences) == (REFUSAL, True, (), ())
    assert answer.timings.first_token_s is None
    assert len(answer.retrieved) >= 5


def test_a_draft_without_support_gives_way_to_one_that_has_some(assistant_with):
    events = list(assistant_with(ScriptedModel(["Pancakes cost 9 dollars.", GOOD])).answer(QUESTION))
    assert kinds(events)[-6:-2] == ["Reread", "Withdrawn", "Token", "Checked"]
    assert events[-1].answer.text == GOOD


def test_drafts_without_support_are_withdrawn_and_refused(assistant_with):
    events = list(assistant_with(ScriptedModel(["Pancakes cost 9 dollars.", "Waffles cost 8 dollars."])).answer(QUESTION))
    assert kinds(events)[-6:] == ["Token", "Checked", "Reread", "Gated", "Withdrawn", "Finished"]
    assert one(events, Withdrawn).reason
    assert events[-1].answer.text == REFUSAL
    assert events[-1].answer.citations == ()


def test_a_doubtful_draft_gives_way_to_a_surer_one_with_the_nearest_sentences_beside_the_question(assistant_with):
    model = ScriptedModel(["Perhaps 3 eggs.", GOOD])
    events = list(assistant_with(model).answer(QUESTION))
    assert kinds(events)[5:] == ["Gated", "Token", "Checked", "Reread", "Withdrawn", "Token", "Checked", "Gated", "Finished"]
    assert events[-1].answer.text == GOOD
    beside = [part.text for part in model.prompts[1] if part.kind == "quote"]
    assert beside == [f"- {quote.text}\n" for quote in reversed(one(events, Reread).quotes)]
    assert beside
    assert not any(part.kind == "quote" for part in model.prompts[0])
    assert events[-1].answer.tokens.generated == len(GOOD.split())


def test_a_second_draft_that_is_no_surer_is_not_shown(assistant_with):
    doubtful = "Perhaps the queen lays up to 2,000 eggs a day."
    events = list(assistant_with(ScriptedModel([doubtful, "Perhaps never."])).answer(QUESTION))
    assert kinds(events)[5:] == ["Gated", "Token", "Checked", "Reread", "Gated", "Finished"]
    assert events[-1].answer.text == doubtful


def test_a_second_draft_that_copies_the_nearest_sentences_with_their_heading_is_no_answer(assistant_with):
    doubtful = "Perhaps the queen lays up to 2,000 eggs a day."
    events = list(assistant_with(ScriptedModel([doubtful, f"{NEAREST} - {GOOD}"])).answer(QUESTION))
    assert kinds(events)[5:] == ["Gated", "Token", "Checked", "Reread", "Gated", "Finished"]
    assert events[-1].answer.text == doubtful


def test_a_sure_draft_is_not_read_again(assistant_with):
    assert "Reread" not in kinds(assistant_with(ScriptedModel([GOOD])).answer(QUESTION))


def test_the_second_reading_can_be_switched_off(assistant_with):
    doubtful = ScriptedModel(["Perhaps the queen lays up to 2,000 eggs a day.", GOOD])
    events = list(assistant_with(doubtful).answer(QUESTION, (), AnswerOptions(second_reading=False)))
    assert "Reread" not in kinds(events)
    assert events[-1].answer.text.startswith("Perhaps")


def test_misspelt_words_are_corrected_for_the_search_and_shown(assistant_with, embedder):
    embedder.whole_words = {"q": {"queen": embedder.token_ids("queen")[0]}}
    model = ScriptedModel([GOOD])
    events = list(assistant_with(model).answer("How many eggs does the queeen lay?"))
    assert one(events, Rewritten) == Rewritten("How many eggs does the queen lay?", changed=True)
    assert "Question: How many eggs does the queen lay?" in [part.text for part in model.prompts[-1]]
    as_typed = AnswerOptions(search_text="the queeen's eggs")
    events = list(assistant_with(model).answer("How many eggs does the queeen lay?", (), as_typed))
    assert one(events, Rewritten).question == "the queeen's eggs"
    assert "Question: How many eggs does the queeen lay?" in [part.text for part in model.prompts[-1]]


def test_a_word_alone_is_asked_as_a_question(assistant_with):
    model = ScriptedModel([GOOD])
    assert list(assistant_with(model).answer("Queen?"))[-1].answer.question == "Queen?"
    assert "Question: What is Queen?" in [part.text for part in model.prompts[-1]]


PLATE = Chunk("a", "plate.md", "Plate", ("Sarn",), "The light of Sarn is 41 metres tall.", 0, 0)
VISITORS = Chunk("b", "visitors.md", "Visitors", ("Sarn",), "The light of Sarn is 44 metres tall.", 0, 0)


def test_passages_that_disagree_are_said_to_and_both_cited(without_search):
    model = ScriptedModel(["The light of Sarn is 41 metres tall.", "The light of Sarn is 44 metres tall."])
    options = AnswerOptions(given=(PLATE, VISITORS))
    events = list(without_search(model).answer("How tall is the light of Sarn?", (), options))
    answer = events[-1].answer
    assert answer.text.endswith("The passages may disagree: another one says “The light of Sarn is 44 metres tall.”")
    assert [(c.marker, c.document) for c in answer.citations] == [(1, "plate.md"), (2, "visitors.md")]
    assert answer.sentences[-1].markers == (2,)
    assert one(events, Compared).section == VISITORS.section
    assert [part.text.strip() for part in model.prompts[-1] if part.kind == "passage"] == [VISITORS.passage]  # it alone


@pytest.mark.parametrize(
    ("second", "options"),
    [
        ("The light of Sarn is 41 metres tall.", AnswerOptions(given=(PLATE, VISITORS))),  # it agrees, asked alone
        ("The light of Orme is 44 metres tall.", AnswerOptions(given=(PLATE, VISITORS))),  # it speaks of another one
        ("The light of Sarn is 49 metres tall.", AnswerOptions(given=(PLATE, VISITORS))),  # which it does not say
        ("The light of Sarn is 44 metres tall.", AnswerOptions(given=(PLATE, VISITORS), compared=False)),
    ],
)
def test_passages_that_do_not_contradict_are_not_said_to(second, options, without_search):
    model = ScriptedModel(["The light of Sarn is 41 metres tall.", second])
    answer = list(without_search(model).answer("How tall is the light of Sarn?", (), options))[-1].answer
    assert answer.text == "The light of Sarn is 41 metres tall."


def test_a_model_that_writes_the_refusal_itself_is_taken_at_its_word(assistant_with):
    model = ScriptedModel(["It is NOT FOUND in the passages about the queen."] * 2)
    assert list(assistant_with(model).answer(QUESTION))[-1].answer.abstained


def test_a_follow_up_is_searched_with_its_subject_but_earlier_answers_stay_out_of_the_prompt(assistant_with):
    model = ScriptedModel(["It is 37 metres tall."])
    history = [Turn("user", "Who built the Quillon lighthouse?"), Turn("assistant", "SECRET earlier answer")]
    events = list(assistant_with(model).answer("How tall is it?", history))
    assert one(events, Rewritten).changed
    assert one(events, Retrieved).result.hits[0].chunk.document == "lighthouses.md"
    assert not any("SECRET" in part.text for part in model.prompts[0])
    assert events[-1].answer.citations[0].document == "lighthouses.md"


def test_quotes_that_look_like_the_answer_come_before_the_model_reads(assistant_with):
    events = list(assistant_with(ScriptedModel([GOOD])).answer("How many eggs a day does the queen lay?"))
    assert one(events, Quoted).quotes[0].text == GOOD


@pytest.mark.parametrize("question", ["", "   \n\t ", "\0"])
def test_an_empty_question_fails_with_a_remedy(assistant_with, question):
    (event,) = list(assistant_with(ScriptedModel()).answer(question))
    assert isinstance(event, Failed)
    assert (event.message, event.reason) == ("The question is empty.", "question")
    assert event.remedy


def test_a_question_of_100_000_characters_fails_in_one_short_line(assistant_with):
    (event,) = list(assistant_with(ScriptedModel()).answer("why " * 25_000))
    assert isinstance(event, Failed)
    assert f"{MAX_QUESTION_CHARACTERS:,}" in event.message
    assert len(event.message) < 200


def test_a_question_too_long_for_the_context_fails(assistant_with):
    events = list(assistant_with(ScriptedModel(context_length=600)).answer("bees " * 300))
    assert isinstance(events[-1], Failed)


def test_passages_that_do_not_fit_are_named_as_left_out(assistant_with):
    model = ScriptedModel([GOOD], context_length=480)
    prompted = one(list(assistant_with(model).answer(QUESTION, options=AnswerOptions(passages=8))), Prompted)
    assert prompted.left_out
    assert "480 tokens" in prompted.left_out_reason


def test_a_cancelled_answer_ends_in_a_failure_that_says_so(assistant_with):
    cancellation = Cancellation()
    stream = assistant_with(ScriptedModel([GOOD])).answer(QUESTION, cancellation=cancellation)
    events = []
    for event in stream:
        events.append(event)
        if isinstance(event, Token):
            cancellation.cancel()
    assert isinstance(events[-1], Failed)
    assert events[-1].reason == "cancelled"
    assert len([event for event in events if isinstance(event, Token)]) == 1


class _BrokenModel(ScriptedModel):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, options, cancellation):
        raise self._error
        yield


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (GenerationError("The model broke.", "Restart."), "The model broke."),
        (ZeroDivisionError("by zero"), "ZeroDivisionError"),
    ],
)
def test_whatever_breaks_the_stream_ends_with_one_failure(assistant_with, error, shown):
    events = list(assistant_with(_BrokenModel(error)).answer(QUESTION))
    assert [isinstance(event, Failed | Finished) for event in events].count(True) == 1
    assert isinstance(events[-1], Failed)
    assert shown in events[-1].message


def test_the_next_question_is_answered_after_a_failure_and_after_a_stream_that_nobody_read_to_its_end(assistant_with):
    model = ScriptedModel([GOOD, GOOD])
    assistant = assistant_with(model)
    left_behind = assistant.answer(QUESTION)
    next(left_behind)
    left_behind.close()
    list(assistant.answer(""))
    assert isinstance(list(assistant.answer(QUESTION))[-1], Finished)


def test_a_second_question_waits_in_line_and_is_told_its_place(assistant_with):
    assistant = assistant_with(ScriptedModel([GOOD, GOOD]))
    first = assistant.answer(QUESTION)
    next(first)
    second: list = []
    thread = threading.Thread(target=lambda: second.extend(assistant.answer(QUESTION)))
    thread.start()
    while not second:
        thread.join(0.01)
    assert second[0] == Queued(1)
    list(first)
    thread.join(60)
    assert isinstance(second[-1], Finished)


def test_every_event_is_a_json_object(assistant_with):
    import json

    for event in assistant_with(ScriptedModel([GOOD])).answer(QUESTION):
        content = json.loads(json.dumps(as_object(event)))
        assert content["event"] == type(event).__name__


def _given(i: str, text: str, title: str = QUESTION) -> Chunk:
    return Chunk(i, f"{i}.md", title, (title,), text, 0, len(text))


# The one that answers comes last: where it stands in an answer is the ranking's doing.
GIVEN = (_given("ropes", "Ropes are made of hemp.", "Ropes"), _given("queens", GOOD))


class _RankingOnly:
    """A searcher that ranks what it is given and breaks when it is asked to search."""

    def __init__(self, searcher: Searcher) -> None:
        self.rank = searcher.rank


@pytest.fixture
def without_search(toy_searcher, embedder):
    return lambda model: Assistant(lambda _: _RankingOnly(toy_searcher), model, SupportChecker(embedder), ThresholdGate())


def test_given_passages_are_the_only_ones_in_the_prompt_best_last(without_search):
    events = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(given=GIVEN)))
    shown = [part.text.strip() for part in one(events, Prompted).parts if part.kind == "passage"]
    assert shown == [GIVEN[0].passage, GIVEN[1].passage]


def test_given_passages_are_ranked_and_reported_as_what_was_retrieved(without_search):
    answer = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(given=GIVEN)))[-1].answer
    assert [(hit.rank, hit.chunk.document) for hit in answer.retrieved] == [(1, "queens.md"), (2, "ropes.md")]


def test_an_answer_cites_the_given_passage(without_search):
    answer = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(given=GIVEN)))[-1].answer
    assert [(c.document, c.quote) for c in answer.citations] == [("queens.md", GOOD)]


def test_all_given_passages_are_read_however_few_a_search_would_hand_over(without_search):
    options = AnswerOptions(passages=1, given=GIVEN)
    prompted = one(list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=options)), Prompted)
    assert [part.kind for part in prompted.parts].count("passage") == 2


@pytest.mark.parametrize("given", [GIVEN[:1], ()])
def test_the_gate_refuses_when_the_given_passages_do_not_answer(without_search, given):
    events = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(given=given)))
    assert not one(events, Gated).answerable
    assert events[-1].answer.abstained


def test_without_guides_the_prompt_holds_the_question_and_no_passage(without_search):
    events = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(without_guides=True)))
    parts = one(events, Prompted).parts
    assert not {part.kind for part in parts} & {"passage", "example"}
    assert any(QUESTION in part.text for part in parts if part.kind == "question")


def test_without_guides_nothing_is_searched_quoted_gated_or_checked(without_search):
    events = list(without_search(ScriptedModel([GOOD])).answer(QUESTION, options=AnswerOptions(without_guides=True)))
    assert kinds(events) == ["Rewritten", "Prompted", "Reading", "Token", "Finished"]


def test_without_guides_an_answer_stands_unsupported_and_without_citation(without_search):
    model = ScriptedModel([f"{GOOD} Pancakes cost 9 dollars."])
    answer = list(without_search(model).answer(QUESTION, options=AnswerOptions(without_guides=True)))[-1].answer
    assert (answer.text, answer.abstained) == (f"{GOOD} Pancakes cost 9 dollars.", False)
    assert [(s.verdict, s.markers) for s in answer.sentences] == [("unsupported", ()), ("unsupported", ())]
    assert (answer.citations, answer.retrieved) == ((), ())


def test_without_guides_a_follow_up_still_knows_its_subject(without_search):
    model = ScriptedModel(["It is 37 metres tall."])
    history = [Turn("user", "Who built the Quillon lighthouse?"), Turn("assistant", "SECRET earlier answer")]
    list(without_search(model).answer("How tall is it?", history, AnswerOptions(without_guides=True)))
    prompt = " ".join(part.text for part in model.prompts[0])
    assert "Who built the Quillon lighthouse?" in prompt
    assert "SECRET" not in prompt


# The passage cache


def passages_read(model) -> list[str]:
    return [part.text for part in model.prompts[-1] if part.kind == "passage"]


def test_what_is_read_does_not_depend_on_what_is_kept(assistant_with, toy_searcher):
    hits = toy_searcher.search(QUESTION, 12).hits
    for kept in ([], [hits[1], hits[3]], hits):
        model = ScriptedModel([GOOD])
        model.warmed += [f"{hit.chunk.passage}\n\n" for hit in kept]
        list(assistant_with(model).answer(QUESTION, options=AnswerOptions(passages=3)))
        assert passages_read(model) == [f"{hit.chunk.passage}\n\n" for hit in (hits[2], hits[1], hits[0])]  # best last


def test_warming_reads_every_passage_once(assistant_with, toy_searcher):
    model = ScriptedModel()
    chunks = toy_searcher.passage_store.chunks()
    assistant = assistant_with(model)
    assert list(assistant.warmer.warm(chunks, Cancellation())) == list(range(1, len(chunks) + 1))
    assert list(assistant.warmer.warm(chunks, Cancellation())) == list(range(1, len(chunks) + 1))
    assert model.warmed == [f"{chunk.passage}\n\n" for chunk in chunks]


class SlowWarming(ScriptedModel):
    """Reads a passage ahead of time for as long as nobody stops it; the second try succeeds."""

    def __init__(self, replies=()) -> None:
        super().__init__(replies)
        self.begun = threading.Event()
        self.interrupted = 0

    def warm(self, prompt, cancellation) -> None:
        if not self.interrupted:
            self.begun.set()
            while not cancellation.is_cancelled:
                time.sleep(0.005)
            self.interrupted += 1
        super().warm(prompt, cancellation)


def test_a_question_interrupts_warming_which_goes_on_afterwards(assistant_with, toy_searcher):
    model = SlowWarming([GOOD])
    assistant = assistant_with(model)
    chunks = toy_searcher.passage_store.chunks()[:2]
    warming = threading.Thread(target=lambda: list(assistant.warmer.warm(chunks, Cancellation())))
    warming.start()
    assert model.begun.wait(60)
    assert list(assistant.answer(QUESTION))[-1].answer.text == GOOD
    warming.join(60)
    assert not warming.is_alive()
    assert model.interrupted == 1
    assert len(model.warmed) == 2


def test_warming_ends_when_it_is_told_to(assistant_with, toy_searcher):
    cancellation = Cancellation()
    cancellation.cancel()
    model = ScriptedModel()
    with pytest.raises(Cancelled):
        list(assistant_with(model).warmer.warm(toy_searcher.passage_store.chunks(), cancellation))
    assert model.warmed == []


@pytest.mark.parametrize("without_guides", [False, True])
def test_a_model_that_writes_nothing_is_a_failure_and_no_answer(assistant_with, without_guides):
    events = list(
        assistant_with(ScriptedModel(["", ""])).answer(QUESTION, options=AnswerOptions(without_guides=without_guides))
    )
    assert isinstance(events[-1], Failed)
    assert "wrote nothing" in events[-1].message


def test_half_characters_in_what_was_said_before_break_nothing(assistant_with):
    history = [Turn("user", "Bees \ud83d?"), Turn("assistant", "Bees \udc1d.")]
    events = list(assistant_with(ScriptedModel([GOOD])).answer("How many eggs do they lay?", history))
    assert isinstance(events[-1], Finished)
    assert "Bees ?" in str(events[0])


def test_a_question_that_cannot_be_asked_does_not_stand_in_line(assistant_with):
    assistant = assistant_with(ScriptedModel([GOOD]))
    held = assistant.line.enter("another")
    assert isinstance(list(assistant.answer("  "))[-1], Failed)
    assistant.line.leave(held)
