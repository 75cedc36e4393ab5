from dataclasses import replace

from fieldguide.events import Failed, Loading, Queued, Reading
from fieldguide.interfaces.web import rendering
from fieldguide.types import Answer, Chunk, Citation, Hit, Sentence, Timings, TokenCounts

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> ![x](http://example.com/x.png)"
CHUNK = Chunk("id", "bees.md", "Bees", ("Hives", EVIL), f"Quote. {EVIL}", 0, 0)


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


def test_markers_stand_behind_their_sentences():
    shown = rendering.answer_text(answer(Sentence("One.", "supported", (1,)), Sentence("Two.", "supported", (1, 2))))
    assert shown == "One. [1] Two. [1][2]"


def test_what_is_not_supported_says_so_in_words():
    shown = rendering.answer_text(answer(Sentence("One.", "weak", (1,)), Sentence("Two.", "unsupported")))
    assert shown == "One. [1] (only partly supported by the guides) Two. (not supported by the guides)"


def test_documents_cannot_put_markup_into_the_page():
    html = rendering.sources_panel(answer(Sentence("One.", "supported", (1,))))
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_cited_and_also_retrieved_are_two_lists():
    html = rendering.sources_panel(answer(Sentence("One.", "supported", (1,))))
    cited, retrieved = html.split("Also retrieved")
    assert "bees.md" in cited
    assert "tides.md" in retrieved
    assert "bees.md" not in retrieved


def test_the_supporting_sentence_is_marked_in_its_passage():
    assert "<mark>Quote.</mark>" in rendering.sources_panel(answer(Sentence("One.", "supported", (1,))))


def test_a_refusal_shows_the_closest_passages():
    assert "Closest passages" in rendering.sources_panel(answer(abstained=True))


def test_the_status_says_what_happens_with_a_number():
    assert rendering.status_line(Queued(3)) == "3rd in the queue"
    assert rendering.status_line(Queued(11)) == "11th in the queue"
    assert rendering.status_line(Reading(366, 412, 300)) == "Reading 412 tokens, 366 done, 300 known already"
    assert rendering.status_line(Loading("Fetching", 0.5)) == "Fetching 50%"
    assert rendering.status_line(Failed("It broke.", "Mend it.")) == "It broke. Mend it."


def test_what_should_be_known_about_an_answer_stands_above_its_sources():
    plain = answer(Sentence("One.", "supported", (1,)))
    noted = replace(plain, note="Only <2> passages were read.")
    assert rendering.sources_panel(noted).startswith("<p class='fg-note'>Only &lt;2&gt; passages were read.</p>")
    assert "fg-note" not in rendering.sources_panel(plain)
