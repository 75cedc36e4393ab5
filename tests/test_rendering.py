from dataclasses import replace

import pytest

from fieldguide.events import Checked, Failed, Loading, Queued, Reading, Token, Withdrawn
from fieldguide.interfaces.conversations import Conversation, Exchange, Receipt
from fieldguide.interfaces.receipts import answer_text
from fieldguide.interfaces.web import rendering, sources, welcome
from fieldguide.interfaces.web.progress import Progress
from fieldguide.interfaces.web.routes import guide_page
from fieldguide.types import Answer, Chunk, Citation, Document, Hit, Quote, Sentence, Timings, TokenCounts

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> ![x](http://example.com/x.png) ' onclick='alert(1)"
CHUNK = Chunk("id", "bees.md", "Bees", ("Hives", EVIL), f"Quote. {EVIL}", 0, 0)
GOOD = Sentence("One.", "supported", (1,))


def answer(*sentences, abstained=False) -> Answer:
    citation = Citation(1, "bees.md", CHUNK.section, "Quote.", CHUNK.passage, "id")
    hit = Hit(CHUNK, 1, 0.5, 1, None, 1)
    other = Hit(Chunk("o", "tides.md", "Tides", ("Moon",), "Tides.", 0, 0), 2, 0.4, 2, 1, 2)
    return Answer(
        "Q?",
        "A.",
        abstained,
        sentences,
        () if abstained else (citation,),
        (hit, other),
        Timings(0, 0, 1.25, 2.5),
        TokenCounts(9, 0, 2),
    )


def exchange(question="Q?", **changes) -> Exchange:
    receipt = Receipt("0.1.0", "scripted", "abc", "123", "2030-01-01", 4, 220, 0.7, 7, ("coast",))
    return Exchange(question, answer(GOOD), receipt=receipt, passages_read=4, passages_from_cache=3, **changes)


def shown(held: Exchange, *, is_last=True) -> str:
    return rendering.exchange(held, 0, is_last=is_last, covered=["Bees"])


def test_markers_stand_behind_their_sentences():
    text = answer_text(answer(GOOD, Sentence("Two.", "supported", (1, 2))))
    assert text == "One. [1] Two. [1][2]"


def test_what_is_not_supported_says_so_in_words():
    text = answer_text(answer(Sentence("One.", "weak", (1,)), Sentence("Two.", "unsupported")))
    assert text == "One. [1] (partly supported) Two. (not supported)"


@pytest.mark.parametrize(("verdict", "word"), [("weak", ">partly supported<"), ("unsupported", ">not supported<")])
def test_a_doubtful_sentence_carries_its_verdict_as_a_word(verdict, word):
    assert word in shown(replace(exchange(), answer=answer(Sentence("One.", verdict))))
    assert word not in shown(exchange())


def test_verdicts_appear_as_sentences_are_checked_and_go_with_what_is_withdrawn():
    progress = Progress("Q?")
    progress.take([Token("One. ", 0.0), Token("Two.", 0.0)])
    assert "data-verdict" not in progress.shown()
    progress.take([Checked(GOOD, answer(GOOD).citations)])
    assert "data-verdict='supported'><span>One.</span>" in progress.shown()
    assert "Source 1: Hives" in progress.shown()
    assert "</span> Two.</p>" in progress.shown()
    progress.take([Withdrawn("A second reading is surer."), Token("Three.", 0.0)])
    assert "<p class='fg-prose fg-streaming'>Three.</p>" in progress.shown()


def test_a_sentence_is_held_back_until_the_one_before_it_has_its_verdict():
    progress = Progress("Q?")
    progress.take([Token("One. ", 0.0), Token("Two goes ", 0.0)])
    assert "<p class='fg-prose fg-streaming'>One.</p>" in progress.shown()
    progress.take([Checked(GOOD, answer(GOOD).citations), Token("on.\n", 0.0)])
    assert "</span> Two goes on.</p>" in progress.shown()


def test_the_sources_of_checked_sentences_are_there_while_the_model_writes_each_once():
    progress = Progress("Q?")
    progress.take([Token("One. One.", 0.0), *[Checked(GOOD, answer(GOOD).citations)] * 2])
    assert progress.shown().count("data-card='1'><h4>") == 1
    assert "<mark>Quote.</mark>" in progress.shown()


def test_lines_that_the_model_parted_stay_parted():
    parted = replace(answer(GOOD, Sentence("Two.", "weak")), text="One.\n\nTwo.")
    assert "<br><br><span class='fg-sentence' data-verdict='weak'>" in shown(replace(exchange(), answer=parted))


@pytest.mark.parametrize(
    "html",
    [
        shown(exchange(question=EVIL, search_text=EVIL, alone=EVIL)),
        shown(Exchange(EVIL, written=EVIL, failure=EVIL)),
        rendering.under_way(
            EVIL, EVIL, [Quote(EVIL, CHUNK, 0, 1, 1.0)], rendering.draft(EVIL, [Sentence(EVIL, "weak")], []), EVIL
        ),
        sources.sources_of(answer(abstained=True), [EVIL]),
        welcome.topics([Document("x.md", EVIL, "", f"## {EVIL}", "")]),
        welcome.welcome([Document("x.md", EVIL, "", f"# {EVIL}?", "")]),
        guide_page(Document("bees.md", EVIL, "", f"Before. {CHUNK.text} After.", ""), CHUNK),
    ],
    ids=["exchange", "failure", "under way", "sources", "topics", "welcome", "guide"],
)
def test_documents_questions_and_models_cannot_put_markup_into_the_page(html):
    assert "<script" not in html
    assert "<img" not in html
    assert "' onclick" not in html
    assert "&lt;script&gt;" in html


def test_cited_and_also_retrieved_are_two_lists():
    cited, retrieved = sources.sources_of(answer(GOOD)).split("Also retrieved")
    assert "bees.md" in cited
    assert "tides.md" in retrieved
    assert "bees.md" not in retrieved


def test_the_supporting_sentence_is_marked_in_its_passage():
    assert "<mark>Quote.</mark>" in sources.sources_of(answer(GOOD))


def test_a_refusal_shows_the_closest_passages_and_what_the_guides_cover():
    html = shown(replace(exchange(), answer=answer(abstained=True)))
    assert "Closest passages" in html
    assert "What the guides cover</h3><ul class='fg-covered'><li>Bees</li>" in html


def test_the_status_says_what_happens_with_a_number():
    assert rendering.status_line(Queued(3)) == "3rd in the queue"
    assert rendering.status_line(Queued(11)) == "11th in the queue"
    assert rendering.status_line(Queued(2, 12.4)) == "2nd in the queue, about 12 s"
    assert rendering.status_line(Reading(366, 412, 300)) == "Reading 412 tokens, 366 done, 300 from cache"
    assert rendering.status_line(Loading("Fetching", 0.5)) == "Fetching 50%"
    assert rendering.status_line(Failed("It broke.", "Mend it.")) == "It broke. Mend it."


def test_times_and_cached_passages_stand_under_the_answer():
    html = shown(exchange())
    assert "first word after 1.2 s, done after 2.5 s; 3 of 4 passages from cache; tried again with seed 7" in html


def test_what_should_be_known_about_an_answer_stands_below_it():
    noted = replace(exchange(), answer=replace(answer(GOOD), note="Only <2> passages were read."))
    assert "<p class='fg-note'>Only &lt;2&gt; passages were read.</p>" in shown(noted)
    assert "fg-note" not in shown(exchange())


def test_only_the_last_question_can_be_tried_again_or_searched_otherwise():
    held = exchange(search_text="eggs of the queen")
    assert "Try again" in shown(held)
    assert "<form" in shown(held)
    assert "Try again" not in shown(held, is_last=False)
    assert "<form" not in shown(held, is_last=False)
    assert "Searched for: eggs of the queen" in shown(held, is_last=False)


def test_two_answers_stand_side_by_side_under_their_names():
    html = shown(exchange(alone="From memory."))
    assert html.index("From the guides") < html.index("Without the guides")
    assert "Not checked." in html


def test_a_conversation_can_be_saved_once_there_is_something_in_it():
    held = Conversation("a" * 32, exchanges=(exchange(),))
    assert "href='/conversations/o/i.md' download" in rendering.conversation(held, exports="/conversations/o/i")
    assert rendering.conversation(Conversation("a" * 32), exports="/conversations/o/i") == ""


def test_a_guide_shows_its_passage_where_it_stands():
    chunk = Chunk("i", "bees.md", "Bees", ("Bees",), "Two & two.", 5, 15)
    html = guide_page(Document("bees.md", "Bees", "", "One. Two & two. Three.", ""), chunk)
    assert '<p>One. <mark id="passage" tabindex="-1">Two &amp; two.</mark> Three.</p>' in html


def test_a_guide_that_has_changed_is_searched_for_the_passage_or_says_that_it_changed():
    chunk = Chunk("i", "bees.md", "Bees", ("Bees",), "Two.", 0, 4)
    assert 'New. <mark id="passage" tabindex="-1">Two.</mark>' in guide_page(Document("b", "B", "", "New. Two.", ""), chunk)
    gone = guide_page(Document("b", "B", "", "All is new.", ""), chunk)
    assert "has changed since it was indexed" in gone
    assert "<mark" not in gone
