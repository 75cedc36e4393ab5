"""Conversations that the page keeps, and how it bears reloads and restarts, in a real browser."""

import json
from dataclasses import replace

import pytest

from browser import answers, ask, finished, free_port, opened, says
from fakes import ScriptedModel, SlowModel
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange, to_json
from fieldguide.interfaces.web.app import create_app, launch
from served import start_page

pytestmark = pytest.mark.browser

GOOD = "The queen lays up to 2,000 eggs a day."
TALL = "The Quillon lighthouse is 37 metres tall."
QUESTION = "How many eggs does the queen lay?"
OTHER = "How tall is the Quillon lighthouse?"
WIDE = {"viewport": {"width": 1440, "height": 900}}


def kept(page) -> list[str]:
    return [element.inner_text() for element in page.query_selector_all("#shelf .fg-kept")]


def ask_two(page) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click("#clear")
    says(page, "#conversation", "Ask the guides")
    ask(page, OTHER)
    finished(page)


def test_a_reload_brings_the_last_conversation_back(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.reload()
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]
        assert "bees.md" in page.inner_text("#source-1")


def test_a_question_whose_tab_is_reloaded_mid_answer_is_not_lost(browser, serve):
    with opened(browser, serve(SlowModel(["word " * 100, GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        says(page, "#under-way", "word")
        page.reload()
        finished(page)
        page.click("[data-do=again]")
        says(page, ".fg-prose", GOOD)


def test_conversations_are_listed_by_their_first_question_and_opened_by_a_click(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, TALL])), **WIDE) as (page, _, _):
        ask_two(page)
        assert sorted(kept(page)) == [QUESTION, OTHER]
        page.get_by_role("button", name=QUESTION, exact=True).click()
        says(page, "#conversation", GOOD)
        assert answers(page) == [f"{GOOD} [1]"]


def test_a_conversation_that_is_deleted_while_it_is_answered_stays_deleted(browser, serve, settings):
    with opened(browser, serve(SlowModel([GOOD, "word " * 100, TALL])), **WIDE) as (page, _, errors):
        ask(page, QUESTION)
        finished(page)
        ask(page, OTHER)
        says(page, "#under-way", "word")
        page.get_by_role("button", name=f"Delete: {QUESTION}").click()
        says(page, "#conversation", "Ask the guides")
        ask(page, OTHER)
        finished(page)
        assert answers(page) == [f"{TALL} [1]"]
        assert kept(page) == [OTHER]
        assert len(list((settings.data_dir / "conversations").rglob("*.json"))) == 1
        assert errors == []


def test_conversations_are_searched(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, TALL])), **WIDE) as (page, _, _):
        ask_two(page)
        page.fill("#search input, #search textarea", "metres")
        page.wait_for_function("document.querySelectorAll('#shelf .fg-kept').length == 1")
        assert kept(page) == [OTHER]


def test_older_conversations_are_shown_when_they_are_asked_for(browser, serve, settings):
    with opened(browser, serve(ScriptedModel([GOOD])), **WIDE) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        store = ConversationStore(settings.data_dir / "conversations")
        (path,) = (settings.data_dir / "conversations").rglob("*.json")
        owner, kept_one = path.parent.name, store.load(path.parent.name, path.stem)
        for number in range(60):
            store.save(owner, replace(kept_one, id=f"{number:032}"))
        page.reload()
        page.get_by_role("button", name="Show 11 older ones").click()
        page.wait_for_function("document.querySelectorAll('#shelf .fg-kept').length == 61")


def test_a_deleted_conversation_goes_and_can_be_brought_back(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD])), **WIDE) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.click("#shelf .fg-delete")
        says(page, "#undo", f"Deleted: {QUESTION}")
        assert kept(page) == []
        page.get_by_role("button", name="Undo").click()
        says(page, "#conversation", GOOD)
        assert kept(page) == [QUESTION]


def test_another_browser_sees_none_of_it(browser, serve):
    url = serve(ScriptedModel([GOOD]))
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
    with opened(browser, url) as (page, _, _):
        assert kept(page) == []


def test_a_conversation_is_saved_and_read_in_again(browser, serve, tmp_path):
    with opened(browser, serve(ScriptedModel([GOOD])), **WIDE) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        with page.expect_download() as saving:
            page.get_by_role("link", name="JSON").click()
        saving.value.save_as(tmp_path / "saved.json")
        receipt = json.loads((tmp_path / "saved.json").read_text())["conversation"]["exchanges"][0]["receipt"]
        assert receipt["model"] == "scripted"
        assert len(receipt["index"]) == 64
        page.click("#shelf .fg-delete")
        says(page, "#conversation", "Ask the guides")
        page.set_input_files("#import", tmp_path / "saved.json")
        says(page, "#conversation", GOOD)
        assert kept(page) == [QUESTION]
        with page.expect_download() as saving:
            page.get_by_role("link", name="Markdown").click()
        saving.value.save_as(tmp_path / "saved.md")
        assert f"> {GOOD}" in (tmp_path / "saved.md").read_text()


def test_an_import_leaves_no_copy_in_the_temporary_folder(browser, serve, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    (tmp_path / "saved.json").write_text(to_json(Conversation("c" * 32, exchanges=(Exchange(QUESTION),))))
    with opened(browser, serve(ScriptedModel()), **WIDE) as (page, _, _):
        page.set_input_files("#import", tmp_path / "saved.json")
        says(page, "#conversation", QUESTION)
        page.set_input_files("#import", tmp_path / "saved.json")  # the same file once more
        page.wait_for_function("document.querySelectorAll('#shelf .fg-kept').length == 2")
    assert not [path for path in (tmp_path / "gradio").rglob("*") if path.is_file()]


def test_a_long_conversation_is_imported_whole(browser, serve, tmp_path):
    long = tuple(Exchange(f"{QUESTION} ({n})", failure="Stopped.", written='"word" ' * 10_000) for n in range(40))
    (tmp_path / "saved.json").write_text(to_json(Conversation("c" * 32, exchanges=long)))
    assert (tmp_path / "saved.json").stat().st_size > 2_500_000
    with opened(browser, serve(ScriptedModel()), **WIDE) as (page, _, errors):
        page.set_input_files("#import", tmp_path / "saved.json")
        says(page, "#conversation", f"{QUESTION} (39)")
        assert kept(page) == [f"{QUESTION} (0)"]
        assert errors == []


def test_a_wrong_file_gets_one_line(browser, serve, tmp_path):
    (tmp_path / "notes.json").write_text('{"a": 1}')
    with opened(browser, serve(ScriptedModel([GOOD])), **WIDE) as (page, _, _):
        page.set_input_files("#import", tmp_path / "notes.json")
        says(page, "#undo", "The chosen file is not a conversation of Fieldguide.")


def test_a_damaged_file_is_named_beside_the_others(browser, serve, settings):
    with opened(browser, serve(ScriptedModel([GOOD])), **WIDE) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        (path,) = (settings.data_dir / "conversations").rglob("*.json")
        (path.parent / f"{'b' * 32}.json").write_text("{")
        page.reload()
        says(page, "#shelf", "is not a whole JSON file")
        assert kept(page) == [QUESTION]


def test_a_restart_of_the_server_is_told_and_survived(browser, fieldguide_with):
    fieldguide, port = fieldguide_with(ScriptedModel([GOOD, TALL])), free_port()
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", port, create_api(fieldguide, "first"))
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.fill("#question textarea", "How tall is")
        app.close()
        says(page, "#connection", "The connection to Fieldguide is lost.")
        again = create_app(fieldguide)
        launch(again, "127.0.0.1", port, create_api(fieldguide, "second"))
        says(page, "#connection", "Fieldguide was started again.", timeout=60_000)
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]
        assert page.input_value("#question textarea") == "How tall is"
        ask(page, OTHER)
        finished(page, 2)
    again.close()
    fieldguide.close()


def test_a_restart_of_the_server_is_told_whoever_loads_the_page_again(browser, fieldguide_with):
    fieldguide, port = fieldguide_with(ScriptedModel([GOOD])), free_port()
    app = create_app(fieldguide)
    with opened(browser, launch(app, "127.0.0.1", port, create_api(fieldguide, "first"))) as (page, _, _):
        page.wait_for_function("sessionStorage.getItem('fieldguide-instance') === 'first'")
        with page.expect_response("**/api/status"):
            page.reload()
        page.wait_for_function("document.querySelector('#engine')?.innerText")
        assert page.inner_text("#connection") == ""
        page.route("**/api/status", lambda route: route.abort())
        app.close()
        again = create_app(fieldguide)
        launch(again, "127.0.0.1", port, create_api(fieldguide, "second"))
        page.reload()
        page.unroute("**/api/status")
        says(page, "#connection", "Fieldguide was started again.")
    again.close()
    fieldguide.close()


def test_a_server_that_is_killed_in_the_middle_of_an_answer_leaves_the_question_and_says_so(browser, tmp_path, toy_folder):
    port = free_port()
    killed = start_page(tmp_path / "data", toy_folder, port, "word " * 200)
    with opened(browser, f"http://127.0.0.1:{port}/") as (page, _, _):
        ask(page, QUESTION)
        says(page, "#under-way", "word")
        killed.kill()
        killed.wait()
        says(page, "#connection", "The connection to Fieldguide is lost. Start it again with: fieldguide chat.")
        again = start_page(tmp_path / "data", toy_folder, port, GOOD)
        says(page, "#connection", "Fieldguide was started again.", timeout=60_000)
        finished(page)
        assert page.inner_text("#conversation h2.fg-question") == QUESTION
        assert page.inner_text(".fg-failure") == "The answer was interrupted. Try again when you like."
        page.click("[data-do=again]")
        says(page, "#conversation .fg-prose", GOOD)
    again.kill()
    again.wait()
