"""`fieldguide eval` in this process, over the toy corpus with a scripted model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import ScriptedModel
from fieldguide.errors import GenerationError
from fieldguide.interfaces import cli

GOOD = "The queen lays up to 2,000 eggs a day."
BY_JEVONS = "Marta Jevons built the Quillon lighthouse in 1911."
EGGS = {"id": "eggs", "kind": "fact", "question": "How many eggs does the queen lay?", "must": [["2,000"]]}
TOWER = {"id": "tower", "kind": "fact", "question": "Who built the Quillon lighthouse?", "must": [["Jevons"]]}
ZEBRA = {"id": "zebra", "kind": "unanswerable", "question": "Xylophone zebra?", "expect": "abstain"}


class Files:
    """The three files of a run, in a folder of their own."""

    def __init__(self, folder) -> None:
        self.questions, self.answers, self.report = (
            folder / name for name in ("questions.jsonl", "answers.jsonl", "report.md")
        )

    def ask(self, *rows) -> None:
        self.questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    @property
    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.answers.read_text(encoding="utf-8").splitlines()]

    @property
    def figures(self) -> dict:
        return json.loads(self.report.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture
def files(tmp_path) -> Files:
    (tmp_path / "evaluation").mkdir()
    return Files(tmp_path / "evaluation")


@pytest.fixture
def run(files, fieldguide_with, monkeypatch, capsys):
    """Run `fieldguide eval` over those files; gives exit status, standard output and standard error."""

    def run(*arguments, replies=(GOOD, BY_JEVONS), model=None, answers=None, report=None, changed=None):
        made = fieldguide_with(model or ScriptedModel(list(replies)))
        made.settings = replace(made.settings, **(changed or {}))
        monkeypatch.setattr("fieldguide.interfaces.cli.evaluate.Fieldguide", lambda settings: made)
        paths = ["--questions", files.questions, "--answers", answers or files.answers, "--report", report or files.report]
        status = 0
        try:
            cli.main(["eval", *map(str, paths), *map(str, arguments)])
        except SystemExit as end:
            status = end.code or 0
        finally:
            made.close()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def last_line(err: str) -> str:
    return err.strip().splitlines()[-1]


def test_a_run_writes_answers_a_report_and_its_figures(run, files):
    files.ask(EGGS, TOWER, ZEBRA)
    status, _, _ = run()
    assert status == 0
    assert [row["id"] for row in files.rows] == ["eggs", "tower", "zebra"]
    assert files.report.read_text(encoding="utf-8").startswith("# Evaluation: end-to-end")
    assert files.figures["right"] == {"eggs": True, "tower": True, "zebra": True}


def test_a_run_prints_its_report_without_the_misses_and_where_it_is_written(run, files):
    files.ask(EGGS, TOWER)
    _, out, _ = run(replies=["The queen lays eggs.", BY_JEVONS])
    assert "| answerable questions right | 50.0% |" in out
    assert "## Misses" not in out
    written = out.splitlines()[-1].removeprefix("Written: ").split(", ")
    assert written[:2] == [str(files.report), str(files.report.with_suffix(".json"))]
    assert all(Path(path).stat().st_size for path in written)
    assert "## Misses" in files.report.read_text(encoding="utf-8")


def test_a_report_says_what_its_answers_were_made_with(run, files):
    files.ask(EGGS)
    run()
    made_with = files.figures["run"]
    assert (made_with["mode"], made_with["questions"], made_with["model"]) == ("end-to-end", "questions.jsonl", "scripted")
    assert {"version", "corpus", "embedder", "questions_sha256", "split", "passages", "prompt_version"} <= set(made_with)


def test_the_report_goes_into_a_folder_that_is_not_there_yet(run, files, tmp_path):
    files.ask(EGGS)
    assert run(report=tmp_path / "new" / "folder" / "r.md")[0] == 0
    assert (tmp_path / "new" / "folder" / "r.md").exists()


def test_oracle_counts_rows_without_passages_and_sources_apart(run, files):
    files.ask({**EGGS, "sources": ["bees.md#How many bees live in a hive?"]}, TOWER)
    run("--mode", "oracle")
    assert (files.figures["skipped"], files.figures["right"]) == (1, {"eggs": True})


def test_no_retrieval_can_refuse_nothing(run, files):
    files.ask(ZEBRA)
    run("--mode", "no-retrieval")
    assert files.figures["answers"]["refused_rightly"]["count"] == 0


def test_a_miss_without_retrieval_is_not_laid_to_the_search(run, files):
    files.ask(EGGS)
    run("--mode", "no-retrieval", replies=["Many."])
    assert "not retrieved" not in files.figures["answers"]["lost_at"]


def test_a_miss_of_the_oracle_is_not_laid_to_packing_when_the_model_was_shown_the_fact(run, files):
    sources = [
        "bees.md#How many bees live in a hive?",
        "bees.md#What do bees eat?",
        "lighthouses.md#Who built the Quillon lighthouse?",
        "lighthouses.md#Which lighthouses are there?",
        "wasps.md#Wasps",
        "tides.md#Why are there tides?",
        "bread.md#Bread",
    ]
    facts = ("2,000", "pollen", "Jevons", "Farrow", "paper", "Moon", "Flour")
    files.ask({**EGGS, "must": [[fact] for fact in facts], "sources": sources})
    run("--mode", "oracle")
    assert files.figures["answers"]["lost_at"] == {"not used": 1}


def test_retrieval_needs_no_model(run, files):
    files.ask(TOWER)
    model = ScriptedModel()
    assert run("--mode", "retrieval", model=model)[0] == 0
    assert model.prompts == []
    assert files.figures["retrieval"]["all"]["hit_1"]["count"] == 1
    assert "model" not in files.figures["run"]


def test_limit_asks_the_first_questions_only(run, files):
    files.ask(EGGS, TOWER, ZEBRA)
    run("--limit", 2)
    assert [row["id"] for row in files.rows] == ["eggs", "tower"]
    assert files.figures["questions"] == 2


def test_a_split_asks_its_own_questions_only(run, files):
    files.ask({**EGGS, "id": "a"}, {**EGGS, "id": "e"})  # SHA-256 puts "a" into dev and "e" into test
    run("--split", "test")
    assert [row["id"] for row in files.rows] == ["e"]


def test_limit_counts_within_the_split(run, files):
    files.ask({**EGGS, "id": "a"}, {**EGGS, "id": "e"})
    run("--split", "test", "--limit", 1)
    assert [row["id"] for row in files.rows] == ["e"]


def test_a_second_run_goes_on_where_the_first_stopped(run, files):
    files.ask(EGGS, TOWER)
    run("--limit", 1)
    model = ScriptedModel([BY_JEVONS])
    assert run(model=model)[0] == 0
    assert len(model.prompts) == 1
    assert files.figures["right"] == {"eggs": True, "tower": True}


def test_a_failed_row_is_told_in_the_report_and_the_run_succeeds(run, files):
    class Broken(ScriptedModel):
        def write(self, options, cancellation):
            raise GenerationError("The model broke.")
            yield

    files.ask(EGGS)
    assert run(model=Broken())[0] == 0
    assert files.figures["failed"] == {"eggs": "The model broke."}
    assert "- `eggs` failed: The model broke." in files.report.read_text(encoding="utf-8")


def test_an_unknown_key_is_a_warning_on_standard_error_and_the_run_goes_on(run, files):
    files.ask({**EGGS, "mood": "curious"})
    status, out, err = run()
    assert status == 0
    assert "line 1: the key 'mood' is not known" in err
    assert "mood" not in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ('{"id": "eggs", "question": "Again?"}', "line 2: the id 'eggs' stands twice"),
        ('{"question": "Who?"}', "line 2: 'id' is missing"),
        ('{"id": "who"}', "line 2: 'question' is missing"),
        ('{"id": "who", "question": "Who?", "must": 5}', "line 2"),
    ],
)
def test_a_broken_questions_file_is_one_line_and_exit_1_and_leaves_nothing(run, files, line, said):
    files.questions.write_text(f"{json.dumps(EGGS)}\n{line}\n", encoding="utf-8")
    status, out, err = run()
    assert (status, out) == (1, "")
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert [path.name for path in files.questions.parent.iterdir()] == ["questions.jsonl"]


@pytest.mark.parametrize("arguments", [("--mode", "backwards"), ("--split", "train")])
def test_an_unknown_mode_or_split_is_one_line_that_names_the_known_ones(run, files, arguments):
    files.ask(EGGS)
    status, _, err = run(*arguments)
    assert status == 1
    assert arguments[1] in last_line(err)
    assert "Known:" in last_line(err)


def test_a_limit_of_none_is_misuse(run, files):
    files.ask(EGGS)
    assert run("--limit", 0)[0] == 2


def test_answers_of_another_mode_are_refused_in_one_line_and_kept(run, files):
    files.ask(EGGS)
    run()
    before = files.answers.read_bytes()
    status, _, err = run("--mode", "no-retrieval")
    assert status == 1
    assert "another run (it differs in: mode)" in last_line(err)
    assert files.answers.read_bytes() == before


def test_answers_to_other_questions_are_refused(run, files):
    files.ask(EGGS)
    run()
    files.ask(TOWER)
    status, _, err = run()
    assert status == 1
    assert "questions_sha256" in last_line(err)


@pytest.fixture
def earlier(run, files, tmp_path):
    """The figures of an earlier run that had one of two questions right."""
    files.ask(EGGS, TOWER)
    run(replies=["The queen lays eggs.", BY_JEVONS], answers=tmp_path / "earlier.jsonl", report=tmp_path / "earlier-report.md")
    return tmp_path / "earlier-report.json"


def test_a_run_is_compared_with_an_earlier_one(run, earlier):
    status, out, _ = run("--against", earlier)
    assert status == 0
    assert "1 questions better, 0 worse of 2: +50.0 points" in out


def with_another_corpus(earlier) -> None:
    content = json.loads(earlier.read_text(encoding="utf-8"))
    content["run"]["corpus"] = "another"
    earlier.write_text(json.dumps(content), encoding="utf-8")


def test_runs_over_different_guides_are_not_compared(run, earlier):
    with_another_corpus(earlier)
    status, _, err = run("--against", earlier)
    assert status == 1
    assert "cannot be compared: they differ in corpus" in last_line(err)


def test_that_runs_cannot_be_compared_is_told_before_anything_is_asked(run, earlier):
    with_another_corpus(earlier)
    model = ScriptedModel([GOOD])
    assert run("--against", earlier, model=model)[0] == 1
    assert model.prompts == []


def test_an_earlier_report_that_is_missing_is_one_line(run, files, tmp_path):
    files.ask(EGGS)
    status, _, err = run("--against", tmp_path / "none.json")
    assert status == 1
    assert "none.json" in last_line(err)


@pytest.mark.parametrize("content", ["{}", "[]", '{"run": {"mode": "end-to-end"}}', "5"])
def test_an_earlier_report_that_is_none_is_one_line(run, files, tmp_path, content):
    files.ask(EGGS)
    (tmp_path / "odd.json").write_text(content)
    status, _, err = run("--against", tmp_path / "odd.json")
    assert status == 1
    assert "odd.json" in last_line(err)


def test_a_report_that_cannot_be_written_is_one_line(run, files, tmp_path):
    files.ask(EGGS)
    (tmp_path / "file").write_text("in the way")
    status, _, err = run(report=tmp_path / "file" / "report.md")
    assert status == 1
    assert "cannot be written" in last_line(err)


def test_a_report_and_answers_that_would_share_a_file_are_refused(run, files, tmp_path):
    files.ask(EGGS)
    status, _, _ = run(answers=tmp_path / "run.json", report=tmp_path / "run.md")
    assert status == 1


def test_a_report_named_as_its_own_figures_is_refused(run, files, tmp_path):
    files.ask(EGGS)
    assert run(report=tmp_path / "report.json")[0] == 1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"passages": 2}, id="passages"),
        pytest.param({"answer_tokens": 20}, id="answer_tokens"),
        pytest.param({"context_length": 2048}, id="context_length"),
    ],
)
def test_answers_made_with_other_settings_are_refused(run, files, changed):
    files.ask(EGGS)
    run()
    status, _, err = run(changed=changed)
    assert status == 1
    assert next(iter(changed)) in last_line(err)
