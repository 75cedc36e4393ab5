"""The stages from the model's first word to the checked answer, what each passage did to it, and where the time went."""

import json
import math
from collections.abc import Sequence

from fieldguide.answering.abstain import REFUSAL
from fieldguide.events import Checked, Compared, Gated, Reading, Token, Withdrawn
from fieldguide.interfaces.learn.pieces import OTHER, READ, answer_to, button, paragraph, plot, table, text
from fieldguide.interfaces.learn.view import STAGES_TIMED, View, durations, first_word
from fieldguide.interfaces.receipts import VERDICTS

_SIGNALS = {
    "evidence": "evidence for an answer, before a word was written (log-odds, from the model's inner state)",
    "refusal_log_probability": "how far the model leans to refuse (log-probability of the refusal's first token)",
    "best_score": "how well the best passage fits the question (0 to 1)",
    "log_probability": "how sure the model was of its draft (mean log-probability)",
    "unsupported": "share of the draft's sentences that no passage supports",
    "draft_evidence": "evidence for the draft (log-odds)",
}
_SURE = 0.9
_FULL_BAR = math.log(10)  # a change by less than ten times does not fill a bar
_STAGES = {
    "search": "searching",
    "prompt": "putting the prompt together",
    "reading": "reading the prompt",
    "deciding": "deciding whether to answer",
    "writing": "writing",
    "checking": "checking",
}


def _share(token: Token) -> float:
    return math.exp(token.log_probability or 0.0)


def answer_stage(view: View) -> str:
    """The answer token by token, with the runners-up and what temperature would do to them."""
    tokens = view.trace.of_last_draft(Token)
    if not tokens:
        return paragraph("The model wrote nothing: the gate refused before the first word. Open <b>Check</b> to see why.")
    if any(token.log_probability is None for token in tokens):
        whole = "".join(token.text for token in tokens)
        return paragraph(
            "No probabilities are known: the model is on a server, or code copied this from a passage."
        ) + paragraph(text(whole))
    drawn = []
    for token in tokens:
        share = _share(token)
        choices = json.dumps([[name, round(score, 3)] for name, score in token.alternatives])
        drawn.append(
            f"<button type='button' class='fl-token' data-learn='token' data-choices='{text(choices)}' "
            f"data-text='{text(token.text)}' style='--sure:{share:.2f}' title='{share:.0%}'>{text(token.text)}</button>"
        )
    surest = sum(_share(token) > _SURE for token in tokens)
    note = "".join(paragraph(f"Taken back: {text(event.reason)}", "fl-bad") for event in view.trace.all(Withdrawn))
    return (
        paragraph(
            f"The model writes one token at a time; for each it weighs its whole vocabulary. <b>{surest} of "
            f"{len(tokens)}</b> tokens "
            "were as good as certain (above 90%): it copies from the passages. The paler a token, the less sure. Choose one "
            "to see what else it might have written."
        )
        + note
        + f"<p class='fl-tokens'>{''.join(drawn)}</p>"
        + _sureness(tokens)
        + "<h4>What else might it have written?</h4><form class='fl-form'><label>Temperature "
        + "<input type='range' name='temperature' min='0' max='2' step='0.1' value='1'>"
        "<output>1</output></label></form>"
        + paragraph(
            "At 0 the likeliest token is always taken (Fieldguide does that); above 1 the unlikely ones gain. The bars are "
            "the ten likeliest tokens that were recorded, and what this temperature makes of their shares among each other.",
            "fl-note",
        )
        + "<div class='fl-choices'>"
        + plot(
            "rows",
            "The runners-up for the chosen token, and what the temperature makes of them",
            {"labels": [], "series": [], "told": [], "largest": 1},
            table("The runners-up, and their shares", ("token", "at temperature 1", "at this temperature"), []),
        )
        + "</div>"
        + _rests_on(view)
    )


def _sureness(tokens: Sequence[Token]) -> str:
    """How likely each token was, as columns."""
    shares = [_share(token) for token in tokens]
    names = [repr(token.text)[1:-1] for token in tokens]
    content = {
        "values": shares,
        "colours": [READ if share > _SURE else "--fl-unsure" for share in shares],
        "letters": [""] * len(shares),
        "told": [f"“{name}”: {share:.1%}" for name, share in zip(names, shares, strict=True)],
        "order": list(range(len(shares))),
        "down": "probability",
        "across": "tokens of the answer",
        "largest": 1,
    }
    rows = [
        (name, f"{share:.1%}", ", ".join(f"{other.strip()} {math.exp(score):.1%}" for other, score in token.alternatives[1:4]))
        for name, share, token in zip(names, shares, tokens, strict=True)
    ]
    return plot(
        "columns",
        f"How likely each of the {len(tokens)} tokens was",
        content,
        table("Token by token", ("token", "probability", "runners-up"), rows),
        f"Violet: less sure than {_SURE:.0%}. Point at a bar, or use the arrow keys, to read its token.",
    )


def _rests_on(view: View) -> str:
    """Each sentence of the answer, and the sentence of the guides that it rests on."""
    sentences = _sentences(view)
    if not sentences:
        return ""
    return f"<h4>What each sentence rests on</h4>{sentences}{button('stage', 'How this was checked', stage='check')}"


def check_stage(view: View) -> str:
    """Each sentence beside the one that supports it; or why there is no answer."""
    trace, answer = view.trace, view.trace.answer
    gated = trace.all(Gated)
    if answer is None:
        return paragraph("This run ended without an answer.")
    said = ""
    if answer.abstained:
        said += answer_to("Why did it refuse?", "why-it-refused", _why_refused(view))
    elif trace.options.without_guides:
        said += paragraph("Nothing was checked: without the guides there is nothing to hold the answer against.")
    else:
        said += paragraph(
            "Code, not the model, holds every sentence against the sentences of the passages: by words, by meaning, and "
            "every number and name must agree. So a citation cannot point to nothing."
        )
    said += _sentences(view)
    for asked in trace.all(Compared):
        said += paragraph(f"Another passage gives another number. It was asked the same, alone: <i>{text(asked.section)}</i>.")
    for number, event in enumerate(gated):
        when = "Before the first word" if number == 0 else "Over the draft"
        rows = [(_SIGNALS.get(name, name), f"{value:.2f}") for name, value in event.signals.items()]
        decided = "answer" if event.answerable else "refuse"
        said += f"<h4>{when}, the gate said: {decided}</h4>" + table(when, ("signal", "value"), rows, folded=False)
    return said


def _sentences(view: View) -> str:
    """The sentences that were checked, each with its verdict and what supports it."""
    trace, answer = view.trace, view.trace.answer
    if answer is None:
        return ""
    said, checked = "", trace.of_last_draft(Checked)
    cited = {c.marker: c for event in checked for c in event.citations}
    cited |= {c.marker: c for c in answer.citations}
    sentences = [event.sentence for event in checked] if answer.abstained else answer.sentences
    for sentence in sentences:
        quotes = "".join(
            f"<blockquote>{view.named(cited[m].chunk_id)} {text(cited[m].quote)}<cite>{text(cited[m].document)}, "
            f"{text(cited[m].section)}</cite></blockquote>{_gone(view, cited[m].quote)}"
            for m in sentence.markers
            if m in cited
        )
        verdict = VERDICTS.get(sentence.verdict, sentence.verdict)
        said += (
            f"<div class='fl-sentence' data-verdict='{sentence.verdict}'><p>{text(sentence.text)} "
            f"<span class='fl-verdict'>{verdict}</span></p>{quotes}</div>"
        )
    return said


def _gone(view: View, quote: str) -> str:
    if not view.is_gone(quote):
        return ""
    return paragraph(
        "The guides as they are now do not say this sentence: the index that was searched is older.", "fl-bad fl-gone"
    )


def _why_refused(view: View) -> str:
    gated = view.trace.all(Gated)
    last = gated[-1] if gated else None
    withdrawn = view.trace.all(Withdrawn)
    closest = (
        f"The closest passage was {view.named(view.hits[0].chunk.id)} <i>{text(view.hits[0].chunk.section)}</i>, "
        if view.hits
        else ""
    )
    scored = f"which fits the question by {view.hits[0].score:.2f} of 1. " if view.hits else ""
    if withdrawn:
        draft = "".join(token.text for token in view.trace.of_last_draft(Token)).strip()
        middle = f"The model did write <q>{text(draft)}</q>, but it was taken back: {text(withdrawn[-1].reason)} "
    elif last:
        middle = "Before a word was written, the signals spoke against an answer. "
    else:
        middle = ""
    end = f"So the answer is one constant sentence, <q>{text(REFUSAL)}</q> A guess would have looked just as sure."
    return f"{closest}{scored}{middle}{end}"


def influence_stage(view: View) -> str:
    """How likely the same answer is with each passage taken away."""
    found = view.trace.influence
    if found is None:
        return paragraph(
            "Delete a passage from the prompt and let the model read again: how likely is it now to write the same answer? Not "
            "measured for this run."
        ) + (button("influence", "Measure it now") if view.is_live and view.trace.passages else "")
    losses = [round(found.whole - number, 3) for number in found.without]
    largest = max([abs(loss) for loss in losses] + [_FULL_BAR])
    ids = [view.of_text(passage) for passage in view.trace.passages]
    headings = [passage.split("\n", 1)[0] for passage in view.trace.passages]
    names = [view.letters.get(identifier, "") for identifier in ids]
    content = {
        "labels": [f"{name} {heading.split(' > ')[-1]}" for name, heading in zip(names, headings, strict=True)],
        "told": [f"{times(abs(loss))} {'less' if loss >= 0 else 'more'} likely" for loss in losses],
        "series": [
            {
                "name": "",
                "values": [abs(loss) for loss in losses],
                "colours": ["--fg-bad" if loss < 0 else view.colour(i) for loss, i in zip(losses, ids, strict=True)],
            }
        ],
        "largest": largest,
    }
    rows = [(name, heading, f"{-loss:+.3f}") for name, heading, loss in zip(names, headings, losses, strict=True)]
    behind = table("Change of the answer's log-probability", ("", "passage taken away", "change"), rows)
    return paragraph(
        "Each passage was deleted from the prompt in turn, the model read what was left, and the very same answer was "
        "scored again. Exact, not estimated: the longer the bar, the more the answer hangs on that passage. Where all "
        "bars are short, other passages hold the same fact. The cache makes it cheap."
    ) + plot("rows", "How likely the same answer is without each passage", content, behind)


def times(difference: float) -> str:
    """A difference of log-probabilities as a factor."""
    factor = math.exp(min(difference, 20.0))
    return f"{factor:.1f} times" if factor < 100 else f"{factor:,.0f} times" if factor < 1e6 else "over a million times"


def timings_stage(view: View) -> str:
    """Where the time went, and what the cache saved."""
    took = durations(view.trace)
    cold = view.trace.cold
    stages = [stage for stage in STAGES_TIMED if stage in took or stage in cold]
    told = [f"{took.get(s, 0.0):.2f} s" + (f", nothing cached: {cold[s]:.2f} s" if s in cold else "") for s in stages]
    brief = [f"{took.get(s, 0.0):.2f} s" + (f", {cold[s]:.2f} s" if s in cold else "") for s in stages]
    series = [{"name": "this run", "values": [took.get(s, 0.0) for s in stages], "colours": [READ]}]
    if cold:
        series.append({"name": "nothing cached", "values": [cold.get(s, 0.0) for s in stages], "colours": [OTHER]})
    content = {
        "labels": [_STAGES[s] for s in stages],
        "series": series,
        "told": told,
        "brief": brief,
        "largest": max([*took.values(), *cold.values(), 0.001]),
    }
    rows = [(_STAGES[s], f"{took.get(s, 0.0):.3f}", f"{cold[s]:.3f}" if s in cold else "not measured") for s in stages]
    first = first_word(view.trace)
    said = paragraph(f"First word after <b>{first:.2f} s</b>." if first is not None else "The model wrote no word.")
    behind = table("Seconds of each stage", ("stage", "this run", "nothing cached"), rows)
    return said + _saved(view, took) + plot("rows", "Where the time went, in seconds", content, behind)


def _saved(view: View, took: dict[str, float]) -> str:
    reading = view.trace.first(Reading)
    if reading is None or not reading.tokens:
        return ""
    told = (
        f"<b>{reading.from_cache} of {reading.tokens}</b> tokens of the prompt had been read before: their keys and "
        "values, which are what reading leaves behind, were taken from disk and moved into place. "
    )
    cold = view.trace.cold
    if "reading" in cold and "reading" in took:
        told += (
            f"Reading took <b>{took['reading']:.2f} s</b>; with an empty cache the same prompt took "
            f"<b>{cold['reading']:.2f} s</b>. The answer is the same."
        )
    elif reading.from_cache < reading.tokens:
        told += "Ask the same once more to see what a full cache saves."
    return answer_to("What did the cache save?", "what-the-cache-saved", told)
