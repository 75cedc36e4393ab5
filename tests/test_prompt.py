from fieldguide.generation.model import Message, PromptPart
from fieldguide.generation.prompt import REFUSAL_WORDS, build_messages, pack
from fieldguide.types import Chunk


def chunk(number: int, words: int = 20) -> Chunk:
    return Chunk(f"c{number}", "bees.md", "Bees", (f"Section {number}",), "bee " * words, 0, 0)


def count_words(messages) -> int:
    return sum(len(part.text.split()) for message in messages for part in message.parts)


def test_the_best_passage_stands_last_before_the_question():
    last = build_messages("How many?", ["best", "second", "third"])[-1]
    passages = [part.text.strip() for part in last.parts if part.kind == "passage"]
    assert passages == ["third", "second", "best"]
    assert last.parts[-1] == PromptPart("question", "Question: How many?")


def test_the_start_of_every_prompt_is_the_same():
    first, second = build_messages("One?", ["a"]), build_messages("Two?", ["b", "c"])
    assert first[:-1] == second[:-1]


def test_the_refusal_words_are_shown_in_the_rules_and_in_one_example():
    messages = build_messages("One?", [])
    assert REFUSAL_WORDS in messages[0].parts[0].text
    assert [m.parts[0].text for m in messages if m.role == "assistant"].count(REFUSAL_WORDS) == 1


def test_the_examples_never_count_as_passages():
    parts = [part for message in build_messages("One?", []) for part in message.parts]
    assert not [part for part in parts if part.kind in {"passage"}]


def test_an_earlier_question_stands_before_the_question():
    parts = build_messages("And its height?", ["p"], "Who built it?")[-1].parts
    assert [part.text for part in parts if part.kind == "question"] == [
        "Earlier question: Who built it?\n",
        "Question: And its height?",
    ]


def test_packing_keeps_whole_passages_best_first_within_the_budget():
    fixed = count_words(build_messages("One?", []))
    packed = pack("One?", [chunk(1), chunk(2), chunk(3)], count_words, fixed + 2 * 22)
    assert [c.id for c in packed.included] == ["c1", "c2"]
    assert [c.id for c in packed.left_out] == ["c3"]
    assert count_words(packed.messages) <= fixed + 2 * 22


def test_packing_takes_nothing_where_nothing_fits():
    packed = pack("One?", [chunk(1, words=500)], count_words, 300)
    assert packed.included == ()
    assert isinstance(packed.messages[0], Message)
