import pytest

from fieldguide.markdown import as_html, as_plain_text, headings


def marked(text: str, stretch: str) -> str:
    start = text.index(stretch)
    return as_html(text, start, start + len(stretch))


@pytest.mark.parametrize(
    ("text", "stretch", "expected"),
    [
        ("One. Two, three. Four.", "Two, three.", "One. <mark>Two, three.</mark> Four."),
        ("One. **Two. Three.** Four.", "Three.** Four.", "<strong>Two. <mark>Three.</mark></strong><mark> Four.</mark>"),
        ("*One* one. *Two*. End", "*Two*.", "<em><mark>Two</mark></em>. End"),
        ("- One.\n- Two.", "- Two.", "<li>One.</li>\n<li><mark>Two.</mark></li>"),
        ("1. One.\n2. Two.", "2. Two.", "<li><mark>Two.</mark></li>"),
        ("Use `a` here. End.", "Use `a` here.", "<mark>Use </mark><mark><code>a</code></mark><mark> here.</mark> End."),
        ("One & two\nthree. Four.", "two\nthree.", "One &amp; <mark>two</mark><mark>\n</mark><mark>three.</mark> Four."),
        ("```\none\n```\n", "one", '<pre><code class="fg-marked">one\n</code></pre>'),
        ("One.\n\nOne.", "One.", "<p><mark>One.</mark></p>\n<p>One.</p>"),
        ("One.", ".", "<p>One.</p>"),  # nothing to find it by
    ],
)
def test_a_stretch_of_the_text_is_marked_where_it_stands(text, stretch, expected):
    assert expected in marked(text, stretch)


def test_what_stands_twice_is_marked_at_its_own_place():
    text = "One.\n\nTwo.\n\nOne."
    assert as_html(text, 12, 16) == "<p>One.</p>\n<p>Two.</p>\n<p><mark>One.</mark></p>\n"


def test_the_row_of_a_table_is_marked_cell_by_cell():
    html = marked("| A | B |\n|---|---|\n| 1 | **2** |\n| 3 | 4 |\n", "| 1 | **2** |")
    assert html.count("<mark>") == 2
    assert "<td><mark>1</mark></td>\n<td><strong><mark>2</mark></strong></td>" in html


def test_each_table_has_a_box_that_the_keyboard_can_reach():
    html = as_html("| A |\n|---|\n| 1 |\n\nText.")
    assert '<div class="fg-table" tabindex="0" role="region" aria-label="Table"><table>' in html
    assert html.count("<div") == html.count("</div>") == 1


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "![x](http://example.com/x.png)",
        "[x](javascript:alert(1))",
        "[x](http://example.com/)",
        "<http://example.com/>",
        "[x]: http://example.com/\n\n[x] ![x]",
        "```\n</code><script>\n```",
        "    <script>",
        "| <script> |\n|---|\n| <iframe src=x> |",
        "<svg/onload=alert(1)>\n\n<style>*{display:none}</style>",
        "`<b onclick=x>`",
        '```"><script>\n```',
        "&lt;script&gt; &#60;script&#62;",
    ],
)
def test_nothing_in_a_document_becomes_a_tag_or_an_address_of_the_page(text):
    for html in (as_html(text), as_html(text, 0, len(text), "passage")):
        for harmful in ("<script", "<img", "<iframe", "<svg", "<style", "<a", "<b ", "href=", "src='", 'src="', "onerror='"):
            assert harmful not in html, html


def test_the_address_of_a_link_can_be_read_but_not_followed():
    assert as_html("See [this](https://example.com/).") == (
        '<p>See <span class="fg-inert">this</span> (https://example.com/).</p>\n'
    )


def test_plain_text_has_no_marks():
    assert as_plain_text("- **One** `two`\n  [three](http://example.com/) 4 * 5") == "One two three 4 * 5"
    assert as_plain_text("| **One** | `2` |") == "One · 2"


def test_headings_are_all_but_the_title():
    assert headings("# One\n\n## A\n\n# Two\n") == ["One", "A", "Two"]
    assert headings("# T\n\n## A `b`\n\n```\n## no\n```\n\n### C\n") == ["A b", "C"]
