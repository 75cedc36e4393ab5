"""The Library page in a real browser: adding, looking at, asking and removing one's own documents."""

import http.client
import json
import re
import time
from urllib.parse import urlsplit

import pytest

from browser import ask, finished, opened, says, serious
from fakes import ScriptedModel, WordCountEmbedder
from sample_files import FACT, pdf

pytestmark = pytest.mark.browser


@pytest.fixture
def url(serve):
    return serve(ScriptedModel([FACT]))


@pytest.fixture
def page(browser, url):
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url + "library")
    page.set_default_timeout(60_000)
    yield page
    context.close()
    assert problems == []


def upload(page, *files: tuple[str, bytes], collection: str = "coast") -> None:
    page.fill("#target", collection)
    page.set_input_files("#files", [{"name": name, "mimeType": "", "buffer": content} for name, content in files])
    page.click("#send")


def test_an_empty_library_says_what_to_do(page):
    says(page, "#collections", "no documents of your own yet")


def test_uploaded_files_are_added_and_the_bad_ones_told_with_reasons(page):
    upload(page, ("coast.md", f"# Coast\n\n{FACT}\n".encode()), ("scan.pdf", pdf("")), ("zero.txt", b""))
    says(page, "#results", "1 added, 0 changed, 0 unchanged, 2 skipped")
    says(page, "#results", "its pages are pictures (scanned)")
    says(page, "#results", "It is empty (0 bytes).")
    says(page, "#collections", "coast")
    page.click("[aria-label='Show the documents of coast']")
    says(page, "#documents", "coast.md")
    page.click("#rows a")
    says(page, "main", FACT)


def test_an_answer_rests_on_an_uploaded_document_and_opens_it(browser, page, url):
    upload(page, ("coast.md", f"# Coast\n\nNothing else.\n\n## Towers\n\n{FACT}\n".encode()))
    says(page, "#results", "1 added")
    with opened(browser, url) as (chat, outside, _):
        ask(chat, "Who built the Quillon lighthouse, says coast?")
        finished(chat)
        says(chat, "#sources", "coast.md")
        assert outside == []


def test_a_document_and_a_collection_can_be_removed(page):
    upload(page, ("coast.md", FACT.encode()), ("other.txt", b"Bread needs salt."))
    says(page, "#results", "2 added")
    page.click("[aria-label='Show the documents of coast']")
    page.click("[aria-label='Remove other.txt']")
    page.wait_for_function("!document.querySelector('#documents').innerText.includes('other.txt')")
    says(page, "#documents", "coast.md")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("[aria-label='Delete coast']")
    says(page, "#collections", "no documents of your own yet")


def test_a_kept_answer_keeps_its_quote_of_a_removed_document(browser, page, url, tmp_path):
    upload(page, ("coast.md", f"# Coast\n\n## Towers\n\n{FACT}\n".encode()))
    says(page, "#results", "1 added")
    with opened(browser, url) as (chat, _, _):
        ask(chat, "Who built the Quillon lighthouse, says coast?")
        finished(chat)
        card = chat.locator(".fg-card", has_text="coast.md").first
        link = card.locator("a.fg-open").get_attribute("href")
        assert FACT in chat.request.get(url + link.lstrip("/")).text()
        with chat.expect_download() as saving:
            chat.get_by_role("link", name="JSON").click()
        saving.value.save_as(tmp_path / "saved.json")
        receipt = json.loads((tmp_path / "saved.json").read_text())["conversation"]["exchanges"][0]["receipt"]
        assert receipt["collections"] == ["guides", "coast"]
        page.click("[aria-label='Show the documents of coast']")
        page.click("[aria-label='Remove coast.md']")
        says(page, "#collections", "0")
        chat.reload()
        says(chat, "#conversation", FACT)
        card = chat.locator(".fg-card", has_text="coast.md").first
        assert FACT in card.text_content()
        assert "No longer in the library" in card.text_content()
        gone = chat.request.get(url + link.lstrip("/"))
        assert gone.status == 404
        assert "no longer in the library" in gone.text()


def test_long_lists_come_in_pages_and_names_can_be_looked_for(page):
    upload(page, *((f"light-{number:03}.txt", f"Light {number} burns oil.".encode()) for number in range(105)))
    says(page, "#results", "105 added", timeout=300_000)
    page.click("[aria-label='Show the documents of coast']")
    says(page, "#documents", "1 to 100 of 105")
    page.click("[aria-label='Later documents']")
    says(page, "#documents", "101 to 105 of 105")
    says(page, "#documents", "light-104.txt")
    page.click("[aria-label='Earlier documents']")
    says(page, "#documents", "1 to 100 of 105")
    page.fill("#part", "t-07")
    says(page, "#documents", "1 to 10 of 10")
    page.fill("#part", "%")
    says(page, "#documents", "None has that in its name.")


def test_the_passages_of_a_long_document_come_in_pages(page, url):
    text = "# Lights\n\n" + "".join(f"## Light {number}\n\nIt burns oil.\n\n" for number in range(230))
    upload(page, ("lights.md", text.encode()))
    says(page, "#results", "1 added")
    page.click("[aria-label='Show the documents of coast']")
    page.click("#rows a")
    says(page, "main", "Passages 1 to 100 of 230.")
    says(page, "main", "230 passages, added 20")
    says(page, "main", "From: uploaded")
    page.get_by_role("link", name="Later").first.click()
    page.get_by_role("link", name="Later").first.click()
    says(page, "main", "Passages 201 to 230 of 230.")
    says(page, "main", "Light 229")


def test_a_collection_is_renamed_and_indexed_again(page):
    upload(page, ("coast.md", FACT.encode()))
    says(page, "#results", "1 added")
    page.once("dialog", lambda dialog: dialog.accept("shore"))
    page.click("[aria-label='Rename coast']")
    says(page, "#collections", "shore")
    page.click("[aria-label='Index shore again']")
    says(page, "#results", "Indexing shore again")
    page.click("[aria-label='Look for changed files of shore']")
    says(page, "#results", "Nothing has changed.")


def test_work_shows_how_far_it_is_and_can_be_cancelled(page, monkeypatch):
    embed = WordCountEmbedder.embed

    def slowly(self, texts):
        time.sleep(1.0 if len(texts) > 1 else 0)  # a batch of passages
        return embed(self, texts)

    monkeypatch.setattr(WordCountEmbedder, "embed", slowly)
    upload(page, *((f"light-{number:03}.txt", f"Light {number} burns oil.".encode()) for number in range(400)))
    page.wait_for_function(
        r"/\d+ of 400 files, \d+ passages, [\d.]+ files\/s, \d+ (s|min) left/.test(document.querySelector('#detail').innerText)"
    )
    page.click("#cancel")
    says(page, "#results", "Cancelled; what was done is kept.")
    assert 0 < int(re.search(r"(\d+) added", page.inner_text("#results")).group(1)) < 400


def test_a_name_that_cannot_be_is_refused_in_one_line(page):
    upload(page, ("coast.md", FACT.encode()), collection="../up")
    says(page, "#problem", "cannot be a collection's name")


def test_a_file_name_is_never_a_path_nor_markup(page, tmp_path):
    upload(page, ("..\\..\\<b>up.txt", FACT.encode()))
    says(page, "#results", "1 added")
    page.click("[aria-label='Show the documents of coast']")
    says(page, "#documents", "<b>up.txt")
    assert not list(tmp_path.glob("*up.txt"))


@pytest.mark.parametrize("headers", [{}, {"X-Fieldguide": "library", "Host": "elsewhere.example"}])
def test_no_foreign_page_can_change_anything(url, headers):
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", "/library/do/delete", b'{"collection": "coast"}', headers)
    assert connection.getresponse().status == 403


@pytest.mark.parametrize(("width", "scheme"), [(w, s) for w in (360, 1440) for s in ("light", "dark")])
def test_nothing_is_wider_than_the_window_and_axe_finds_nothing(browser, url, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(url + "library")
    assert serious(page) == []
    upload(page, (f"{'coast' * 20}.md", f"# Coast\n\n{FACT}\n".encode()), ("zero.txt", b""))
    says(page, "#results", "1 added", 60_000)
    page.click("[aria-label='Show the documents of coast']")
    says(page, "#documents", "coastcoast")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("#rows a")
    says(page, "main", FACT)
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_where_to_search_is_asked_once_there_is_more_than_the_guides(browser, page, url):
    with opened(browser, url, viewport={"width": 1440, "height": 1200}) as (chat, _, _):
        assert not chat.locator("#where").is_visible()
    upload(page, ("coast.md", f"# Coast\n\n{FACT}\n".encode()))
    says(page, "#results", "1 added")
    with opened(browser, url, viewport={"width": 1440, "height": 1200}) as (chat, _, _):
        chat.locator("#where").wait_for()
        assert "The guides and all of your own documents, unless you choose." in chat.inner_text("#where")
        assert serious(chat) == []
