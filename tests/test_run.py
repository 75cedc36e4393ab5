"""Asking a file of questions in four ways, over the toy corpus with a scripted model; stopping and going on."""

import json
from dataclasses import replace

import pytest

from fakes import ScriptedModel
from fieldguide.answering.abstain import REFUSAL
from fieldguide.errors import EvaluationError, GenerationError, SearchIndexError
from fieldguide.evaluation.questions import Question
from fieldguide.evaluation.run import Run, run_questions
from fieldguide.types import Turn

GOOD = "The queen lays up to 2,000 eggs a day."
EGGS = Question("eggs", "fact", "How many eggs does the queen lay?", (), (("2,000",),), (), False, (), ())
TOWER = Question("tower", "fact", "Who built the Quillon lighthouse?", (), (("Jevons",),), (), False, (), ())
ZEBRA = Question("zebra", "unanswerable", "Xylophone zebra?", (), (), (), True, (), ())
BY_JEVONS = "Marta Jevons built the Quillon lighthouse in 1911."
HIVE = "How many bees live in a hive?"
WITH_PASSAGES = replace(EGGS, passages=((EGGS.question, "The queen lays up to 7,000 eggs a day."), ("Ropes", "Hemp.")))
WITH_SOURCES = replace(EGGS, sources=(f"bees.md#{HIVE}",))
ANSWER_KEYS = ["question", "answer", "abstained", "sentences", "citations", "retrieved", "timings", "tokens", "note"]


@pytest.fixture
def answers(tmp_path):
    return tmp_path / "runs" / "answers.jsonl"


@pytest.fixture
def ask(fieldguide_with, answers):
    """Ask questions with a model; a second call goes on with the same answers file."""

    def ask(questions, model=None, mode="end-to-end", made_with=None, report=lambda *_: None):
        made = fieldguide_with(model or ScriptedModel([GOOD]))
        list(made.loading())
        try:
            return run_questions(made, questions, Run(mode, made_with or {"corpus": "toy"}), answers, report)
        finally:
            made.close()

    return ask


def kept(answers) -> list[dict]:
    return [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]


def passages_of(prompt) -> list[str]:
    return [part.text.strip() for part in prompt if part.kind == "passage"]


class FailsOnce(ScriptedModel):
    """Breaks at the first answer and writes the others."""

    def __init__(self, error: BaseException) -> None:
        super().__init__([BY_JEVONS])
        self._error: BaseException | None = error

    def write(self, options, cancellation):
        if self._error:
            error, self._error = self._error, None
            raise error
        yield from super().write(options, cancellation)


def test_an_answers_row_is_the_object_of_ask_with_the_id_in_front(ask, answers):
    ask([EGGS])
    (row,) = kept(answers)
    assert list(row) == ["id", *ANSWER_KEYS]
    assert (row["id"], row["question"], row["answer"]) == ("eggs", EGGS.question, GOOD)


def test_rows_come_back_in_the_order_of_the_questions(ask):
    assert [row["id"] for row in ask([ZEBRA, EGGS])] == ["zebra", "eggs"]


def test_what_comes_back_is_what_is_kept(ask, answers):
    assert ask([ZEBRA, EGGS]) == kept(answers)


def test_end_to_end_refuses_what_the_guides_do_not_touch(ask):
    (row,) = ask([ZEBRA])
    assert (row["answer"], row["abstained"]) == (REFUSAL, True)


def test_end_to_end_searches_the_guides(ask):
    (row,) = ask([TOWER], ScriptedModel([BY_JEVONS]))
    assert row["retrieved"][0]["document"] == "lighthouses.md"
    assert row["citations"][0]["document"] == "lighthouses.md"


def test_a_row_with_passages_of_its_own_is_answered_from_them_end_to_end(ask):
    model = ScriptedModel(["The queen lays up to 7,000 eggs a day."])
    (row,) = ask([WITH_PASSAGES], model)
    assert [hit["document"] for hit in row["retrieved"]] == ["passage-1", "passage-2"]
    assert row["citations"][0]["quote"] == "The queen lays up to 7,000 eggs a day."


def test_a_follow_up_is_asked_with_its_history(ask):
    history = (Turn("user", "Who built the Quillon lighthouse?"), Turn("assistant", "Marta Jevons."))
    model = ScriptedModel(["It is 37 metres tall."])
    ask([replace(TOWER, question="How tall is it?", history=history)], model)
    assert any("Who built the Quillon lighthouse?" in part.text for part in model.prompts[0] if part.kind == "question")


def test_the_temperature_is_zero_whatever_is_set(ask, settings, fieldguide_with, answers):
    class Recording(ScriptedModel):
        temperature = None

        def write(self, options, cancellation):
            self.temperature = options.temperature
            yield from super().write(options, cancellation)

    model = Recording([GOOD])
    made = fieldguide_with(model)
    made.settings = replace(settings, temperature=0.9)
    run_questions(made, [EGGS], Run("end-to-end", {}), answers)
    made.close()
    assert model.temperature == 0.0


def test_oracle_reads_the_rows_own_passages_and_no_others(ask):
    model = ScriptedModel(["The queen lays up to 7,000 eggs a day."])
    ask([replace(WITH_PASSAGES, sources=("tides.md#Why are there tides?",))], model, "oracle")
    assert passages_of(model.prompts[0]) == ["Ropes\nHemp.", f"{EGGS.question}\nThe queen lays up to 7,000 eggs a day."]


def test_oracle_reads_the_sections_that_the_row_names_and_no_others(ask):
    model = ScriptedModel([GOOD])
    (row,) = ask([WITH_SOURCES], model, "oracle")
    assert [hit["section"].split(" > ")[-1] for hit in row["retrieved"]] == [HIVE]
    assert len(passages_of(model.prompts[0])) == 1


def test_oracle_tells_sections_of_the_same_name_apart_by_their_guide(ask):
    (row,) = ask([replace(EGGS, sources=(f"wasps.md#{HIVE}",))], mode="oracle")
    assert "skipped" in row


def test_oracle_skips_a_row_without_passages_and_sources_and_asks_nothing(ask):
    model = ScriptedModel([GOOD])
    (row,) = ask([EGGS], model, "oracle")
    assert row.keys() == {"id", "question", "skipped"}
    assert model.prompts == []


def test_oracle_refuses_when_the_given_passages_do_not_answer(ask):
    (row,) = ask([replace(EGGS, passages=(("Ropes", "Hemp."),))], mode="oracle")
    assert row["abstained"]


@pytest.mark.parametrize("question", [EGGS, WITH_PASSAGES, WITH_SOURCES, ZEBRA], ids=["bare", "passages", "sources", "none"])
def test_no_retrieval_asks_the_model_alone(ask, question):
    model = ScriptedModel([GOOD])
    (row,) = ask([question], model, "no-retrieval")
    assert passages_of(model.prompts[0]) == []
    assert (row["answer"], row["abstained"], row["retrieved"], row["citations"]) == (GOOD, False, [], [])


def test_retrieval_asks_no_model(ask):
    model = ScriptedModel([GOOD])
    (row,) = ask([TOWER], model, "retrieval")
    assert model.prompts == []
    assert row["retrieved"][0]["document"] == "lighthouses.md"


def test_a_retrieval_row_has_the_keys_of_an_answer(ask):
    (row,) = ask([EGGS], mode="retrieval")
    assert list(row) == ["id", *ANSWER_KEYS]
    assert (row["answer"], row["abstained"], row["timings"]["first_token_s"]) == ("", False, None)


def test_retrieval_looks_at_all_passages_of_a_small_corpus(ask, toy_searcher):
    (row,) = ask([EGGS], mode="retrieval")
    assert len(row["retrieved"]) == len(toy_searcher.passage_store.chunks())


def test_retrieval_searches_a_follow_up_with_its_subject(ask):
    history = (Turn("user", "Why are there tides?"),)
    (row,) = ask([replace(EGGS, question="And why?", history=history)], mode="retrieval")
    assert row["retrieved"][0]["document"] == "tides.md"


def test_retrieval_skips_a_row_that_brings_its_own_passages(ask):
    assert "skipped" in ask([WITH_PASSAGES], mode="retrieval")[0]


def test_a_row_that_fails_is_kept_with_its_error_and_the_run_goes_on(ask, answers):
    ask([EGGS, TOWER], FailsOnce(GenerationError("The model broke.")))
    failed, answered = kept(answers)
    assert (failed["id"], failed["error"]) == ("eggs", "The model broke.")
    assert answered["answer"] == BY_JEVONS
    assert "error" not in answered


def test_a_question_that_cannot_be_asked_is_a_row_with_an_error(ask):
    failed, answered = ask([replace(ZEBRA, question="why " * 1000), EGGS])
    assert "2,000" in failed["error"]
    assert answered["answer"] == GOOD


def test_a_search_that_fails_is_a_row_with_an_error_and_the_run_goes_on(fieldguide_with, answers):
    made = fieldguide_with(ScriptedModel())
    list(made.loading(with_model=False))
    search = made.search

    def failing(question, limit, collections):
        if question == EGGS.question:
            raise SearchIndexError("The index broke.")
        return search(question, limit, collections)

    made.search = failing
    try:
        failed, answered = run_questions(made, [EGGS, TOWER], Run("retrieval", {}), answers)
    finally:
        made.close()
    assert failed["error"] == "The index broke."
    assert answered["retrieved"]


def test_what_is_answered_is_not_asked_again(ask, answers):
    first = ask([EGGS])
    again = ScriptedModel(["Something else."])
    assert ask([EGGS], again) == first
    assert again.prompts == []
    assert len(kept(answers)) == 1


def test_a_run_over_fewer_questions_can_be_gone_on_with(ask, answers):
    ask([EGGS])
    model = ScriptedModel([BY_JEVONS])
    rows = ask([EGGS, TOWER], model)
    asked = {part.text for prompt in model.prompts for part in prompt if part.kind == "question"}
    assert asked == {f"Question: {TOWER.question}"}
    assert [row["answer"] for row in rows] == [GOOD, BY_JEVONS]
    assert [row["id"] for row in kept(answers)] == ["eggs", "tower"]


def test_a_run_over_fewer_questions_keeps_the_answers_of_the_others(ask, answers):
    ask([EGGS, TOWER], ScriptedModel([GOOD, BY_JEVONS]))
    assert [row["id"] for row in ask([TOWER])] == ["tower"]
    assert [row["id"] for row in kept(answers)] == ["eggs", "tower"]


def test_an_interrupt_leaves_every_finished_answer(ask, answers):
    class Interrupted(ScriptedModel):
        def write(self, options, cancellation):
            if len(self.prompts) == 2:
                raise KeyboardInterrupt
            yield from super().write(options, cancellation)

    with pytest.raises(KeyboardInterrupt):
        ask([EGGS, TOWER], Interrupted([GOOD]))
    assert [row["answer"] for row in kept(answers)] == [GOOD]


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(2, id="by its last brace"),
        pytest.param(60, id="in its middle"),
        pytest.param(
            1,
            id="by its line break alone",
        ),
    ],
)
def test_a_last_line_that_was_cut_is_mended(ask, answers, cut):
    whole = ask([EGGS, TOWER], ScriptedModel([GOOD, BY_JEVONS]))
    answers.write_bytes(answers.read_bytes()[:-cut])
    rows = ask([EGGS, TOWER, ZEBRA], ScriptedModel([BY_JEVONS]))
    assert [row["answer"] for row in rows] == [*(row["answer"] for row in whole), REFUSAL]
    assert kept(answers) == rows


def test_a_half_written_letter_at_the_end_is_asked_again(ask, answers):
    ask([EGGS])
    line = json.dumps({"id": "tower", "answer": "né"}, ensure_ascii=False).encode()
    answers.write_bytes(answers.read_bytes() + line[: line.index("é".encode()) + 1])
    assert [row["answer"] for row in ask([EGGS, TOWER], ScriptedModel([BY_JEVONS]))] == [GOOD, BY_JEVONS]


def test_an_answer_with_a_line_separator_in_it_is_not_asked_again(ask, answers):
    ask([replace(EGGS, passages=((EGGS.question, f"Hives hum.\u2028{GOOD}"),))])
    again = ScriptedModel([GOOD])
    ask([EGGS], again)
    assert again.prompts == []


def test_a_row_with_an_error_is_asked_again_and_replaced(ask, answers):
    ask([EGGS, TOWER], FailsOnce(GenerationError("The model broke.")))
    model = ScriptedModel([GOOD])
    ask([EGGS, TOWER], model)
    assert len(model.prompts) == 1
    assert {row["id"]: row["answer"] for row in kept(answers)} == {"eggs": GOOD, "tower": BY_JEVONS}
    assert len(kept(answers)) == 2


@pytest.mark.parametrize(
    ("other", "named"),
    [
        pytest.param({"mode": "no-retrieval"}, "mode", id="another mode"),
        pytest.param({"made_with": {"corpus": "other", "split": "dev"}}, "corpus", id="another value"),
        pytest.param({"made_with": {"corpus": "toy", "split": "dev", "model": "new"}}, "model", id="one key more"),
        pytest.param(
            {"made_with": {"corpus": "toy"}},
            "split",
            id="one key less",
        ),
    ],
)
def test_answers_of_another_run_are_refused_naming_what_differs(ask, answers, other, named):
    ask([EGGS], made_with={"corpus": "toy", "split": "dev"})
    before = answers.read_bytes()
    with pytest.raises(EvaluationError, match=rf"differs in: {named}\)"):
        ask([EGGS], **{"made_with": {"corpus": "toy", "split": "dev"}, **other})
    assert answers.read_bytes() == before


def test_answers_that_do_not_say_how_they_were_made_are_refused(ask, answers):
    ask([EGGS])
    answers.with_name("answers.jsonl.run.json").unlink()
    with pytest.raises(EvaluationError, match="another run"):
        ask([EGGS])


def test_an_empty_answers_file_is_a_new_run(ask, answers):
    answers.parent.mkdir()
    answers.touch()
    assert len(ask([EGGS])) == 1


def test_answers_that_cannot_be_written_are_one_line(ask, answers):
    answers.parent.write_text("in the way")
    with pytest.raises(EvaluationError, match=r"answers\.jsonl.* cannot be"):
        ask([EGGS])


def test_progress_names_how_many_of_how_many(ask):
    told: list[tuple[int, int]] = []
    ask([EGGS, ZEBRA], report=lambda done, total, left: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
