"""Conversations on disk: what is kept, what is refused, and what a kill leaves."""

import json
import os

import pytest

from fieldguide.errors import ConversationError
from fieldguide.interfaces import conversation_store
from fieldguide.interfaces.conversation_store import LISTED, ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange, from_json, new_identifier, to_json
from fieldguide.interfaces.receipts import exchange_text, to_markdown
from fieldguide.types import Turn
from test_rendering import exchange

OWNER = "a" * 32


@pytest.fixture
def store(tmp_path) -> ConversationStore:
    return ConversationStore(tmp_path / "conversations")


def kept(store, question="How many eggs?", **changes) -> Conversation:
    return store.save(OWNER, Conversation(new_identifier(), exchanges=(exchange(question=question, **changes),)))


def listed(store, words="", owner=OWNER, **options) -> list[str]:
    return [c.id for c in store.list(owner, words, **options).conversations]


def file_of(tmp_path, conversation):
    return tmp_path / "conversations" / OWNER / f"{conversation.id}.json"


def test_what_is_kept_comes_back_whole(store):
    conversation = kept(store, alone="About 2,000.", search_text="eggs of the queen")
    assert store.load(OWNER, conversation.id) == conversation


def test_a_name_that_is_not_taken_is_an_empty_conversation(store):
    assert store.load(OWNER, "b" * 32).exchanges == ()


def test_other_owners_see_nothing(store):
    kept(store)
    assert listed(store, owner="c" * 32) == []


@pytest.mark.parametrize("name", ["", "..", "../" + "a" * 29, "A" * 32, "a" * 31, "a" * 32 + "\n"])
def test_a_name_never_leads_out_of_the_folder(store, name):
    with pytest.raises(ConversationError):
        store.load(OWNER, name)
    with pytest.raises(ConversationError):
        store.save(name, Conversation(new_identifier()))


def test_the_list_is_searched_by_words_of_questions_and_answers(store):
    bees, tides = kept(store, "How many bees?"), kept(store, "Why are there tides?")
    assert listed(store, "TIDES") == [tides.id]
    assert set(listed(store, "a.")) == {bees.id, tides.id}  # in both answers
    assert listed(store, "tides bees") == []


def test_the_latest_stands_first(store, monkeypatch):
    times = iter(["2030-01-01T00:00:00", "2030-01-02T00:00:00"])
    monkeypatch.setattr(conversation_store.time, "strftime", lambda _: next(times))
    first, second = kept(store), kept(store)
    assert listed(store) == [second.id, first.id]


def test_of_a_thousand_only_the_latest_are_read_and_each_only_once(store, tmp_path, monkeypatch):
    first = kept(store, "The very first?")
    content = json.loads(file_of(tmp_path, first).read_text())
    del content["sha256"]  # as older ones have none
    text, folder = json.dumps(content), tmp_path / "conversations" / OWNER
    os.utime(file_of(tmp_path, first), (1, 1))
    for number in range(999):
        (folder / f"{number:032}.json").write_text(text.replace(first.id, f"{number:032}").replace("very first", "later"))
    reads, read_bytes = [], type(tmp_path).read_bytes
    monkeypatch.setattr(type(tmp_path), "read_bytes", lambda path: reads.append(path) or read_bytes(path))
    assert len(listed(store)) == len(listed(store)) == LISTED
    assert store.list(OWNER).older == 1000 - LISTED
    assert len(reads) == LISTED
    assert listed(store, "very") == [first.id]
    assert len(listed(store, limit=None)) == 1000
    assert len(reads) == 1000
    store.save(OWNER, first)
    assert listed(store)[0] == first.id
    assert len(reads) == 1001


def test_it_is_named_after_its_first_question():
    long = Conversation("a" * 32, exchanges=(Exchange("word " * 40), Exchange("Second?")))
    assert long.title.startswith("word word")
    assert len(long.title) <= 80
    assert long.title.endswith("…")


def test_a_follow_up_builds_on_answered_questions_only():
    conversation = Conversation("a" * 32, exchanges=(exchange(question="Q1?"), Exchange("Q2?", failure="Stopped.")))
    assert conversation.history() == [Turn("user", "Q1?"), Turn("assistant", "A.")]


def test_a_deletion_can_be_taken_back(store):
    conversation = kept(store)
    store.delete(OWNER, conversation.id)
    assert listed(store) == []
    store.restore(OWNER, conversation.id)
    assert listed(store) == [conversation.id]


def test_the_next_deletion_is_the_end_of_the_last(store):
    first, second = kept(store), kept(store)
    store.delete(OWNER, first.id)
    store.delete(OWNER, second.id)
    with pytest.raises(ConversationError, match="cannot be changed"):
        store.restore(OWNER, first.id)


def test_a_damaged_file_is_named_and_left_alone(store, tmp_path):
    conversation, good = kept(store), kept(store)
    path = file_of(tmp_path, conversation)
    path.write_bytes(path.read_bytes()[:100])
    listing = store.list(OWNER)
    assert [c.id for c in listing.conversations] == [good.id]
    assert len(listing.problems) == 1
    assert str(path) in listing.problems[0]
    assert "\n" not in listing.problems[0]
    assert len(path.read_bytes()) == 100


def test_a_file_of_another_version_is_named_and_not_read(store, tmp_path):
    conversation = kept(store)
    path = file_of(tmp_path, conversation)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    with pytest.raises(ConversationError, match="version 2 of its form, but this Fieldguide reads version 1"):
        store.load(OWNER, conversation.id)


def test_a_kill_between_writing_and_replacing_leaves_the_old_one(store, tmp_path, monkeypatch):
    conversation = kept(store)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(OWNER, conversation.with_exchange(0, Exchange("Other?")))
    monkeypatch.undo()
    assert (listed(store), store.list(OWNER).problems) == ([conversation.id], ())
    assert store.load(OWNER, conversation.id) == conversation


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConversationError, match=r"cannot be kept in .*: Not a directory\."):
        kept(ConversationStore(tmp_path / "file"))


def test_what_another_tab_added_meanwhile_is_not_lost(store):
    conversation = kept(store, "First?")
    store.save(OWNER, conversation.with_exchange(1, Exchange("Of the other tab?")))
    together = store.put(OWNER, conversation.id, 1, Exchange("Of this tab?"))
    assert [e.question for e in together.exchanges] == ["First?", "Of the other tab?", "Of this tab?"]


def test_an_exchange_that_was_begun_is_finished_in_its_place(store):
    conversation = kept(store, "First?")
    begun = store.save(OWNER, conversation.with_exchange(1, Exchange("Second?", failure="Interrupted.")))
    done = store.put(OWNER, begun.id, 1, exchange(question="Second?"))
    assert [bool(e.answer) for e in done.exchanges] == [True, True]


def test_an_export_is_imported_as_a_conversation_of_its_own(store):
    conversation = kept(store)
    copy = store.add_copy("b" * 32, to_json(conversation), "export.json")
    assert copy.exchanges == conversation.exchanges
    assert copy.id != conversation.id
    assert listed(store, owner="b" * 32) == [copy.id]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a whole JSON file"),
        ("\x00\xff", "is not a whole JSON file"),
        ("[" * 100_000, "is not a whole JSON file"),
        ('{"a": 1}', "is not a conversation of Fieldguide"),
        ('{"format": "fieldguide-conversation", "version": 1}', "is damaged at conversation"),
        (
            json.dumps({"format": "fieldguide-conversation", "version": 1, "conversation": {"id": "../x"}}),
            "is damaged at id",
        ),
    ],
)
def test_a_wrong_file_gets_one_line(text, message):
    with pytest.raises(ConversationError) as error:
        from_json(text, "notes.json")
    assert str(error.value).startswith(f"notes.json {message}")
    assert "\n" not in str(error.value)


def test_the_markdown_carries_the_receipts():
    text = to_markdown(Conversation("a" * 32, exchanges=(exchange(question="How many?"),)))
    for part in (
        "# How many?",
        "One. [1]",
        "> Quote.",
        "`bees.md`, Hives",
        "scripted (abc)",
        "index 123",
        "searched coast",
        "seed 7",
        "Fieldguide 0",
    ):
        assert part in text, part


def test_the_clipboard_gets_text_with_markers_and_sources():
    text = exchange_text(exchange(question="Is 1 < 2?"))
    assert text.startswith("One. [1]")
    assert "[1] bees.md, Hives > " in text
    assert "&lt;" not in text
