"""A draft while it is written: each sentence is held against the passages when the next one begins."""

import pytest

from fakes import ScriptedModel
from fieldguide.answering.drafting import write_draft
from fieldguide.events import Checked, Token
from fieldguide.generation.model import Cancellation, WritingOptions
from fieldguide.sentences import split_sentences
from fieldguide.types import Citation, Sentence

REPLY = "One holds. Two holds as well. Three is\nthe last."


class Checker:
    """Finds every sentence supported, each by a citation of its own; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text):
        self.asked.append(text)
        spans = split_sentences(text)
        sentences = tuple(Sentence(span.text, "supported", (number,)) for number, span in enumerate(spans, 1))
        return sentences, tuple(Citation(n, "b.md", "B", "q", "p", "id") for n, _ in enumerate(spans, 1))


def written(reply, check):
    events, draft = [], None
    steps = write_draft(ScriptedModel([reply]), WritingOptions(100), Cancellation(), check)
    while draft is None:
        try:
            events.append(next(steps))
        except StopIteration as end:
            draft = end.value
    return events, draft


def test_a_sentence_is_checked_when_a_word_of_the_next_one_is_there_and_the_last_one_at_the_end():
    events, draft = written(REPLY, Checker())
    told = [event.text.strip() if isinstance(event, Token) else event.sentence for event in events]
    first, second, third = draft.sentences
    assert told == ["One", "holds.", "Two", "holds", first, "as", "well.", "Three", "is", second, "the", "last.", third]
    assert third.text == "Three is the last."


def test_a_sentence_that_is_told_points_to_its_own_citations():
    events, _ = written(REPLY, Checker())
    checked = [event for event in events if isinstance(event, Checked)]
    assert [[c.marker for c in event.citations] for event in checked] == [[1], [2], [3]]


def test_nothing_is_asked_for_single_tokens():
    checker = Checker()
    written(REPLY, checker)
    assert checker.asked == ["One holds.", "One holds. Two holds as well.", "One holds. Two holds as well. Three is the last."]


def test_what_is_found_over_the_whole_text_counts():
    def check(text):
        verdict = "weak" if text.endswith("last.") else "supported"
        return tuple(Sentence(span.text, verdict) for span in split_sentences(text)), ()

    events, draft = written(REPLY, check)
    assert [event.sentence.verdict for event in events if isinstance(event, Checked)] == ["supported", "supported"]
    assert [sentence.verdict for sentence in draft.sentences] == ["weak", "weak", "weak"]


@pytest.mark.parametrize("reply", ["", "One", "It was Dr. Jevons who built it", "It is 1.5 metres tall"])
def test_what_only_looks_like_an_end_is_no_sentence_yet(reply):
    events, draft = written(reply, Checker())
    assert [type(event) for event in events] == [Token] * len(draft.tokens) + [Checked] * bool(reply)


def test_without_a_check_nothing_is_checked():
    events, draft = written(REPLY, None)
    assert all(isinstance(event, Token) for event in events)
    assert (draft.sentences, draft.citations) == ((), ())
