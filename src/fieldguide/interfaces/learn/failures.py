"""The gallery of failures: each one click, on a recorded run or a setting that can be reproduced."""

from dataclasses import dataclass

from fieldguide.interfaces.learn.pieces import text


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong, why, and what helps; shown at a stage of a recorded run."""

    name: str
    title: str
    why: str
    helps: str
    trace: str
    stage: str
    settings: str = ""  # sliders of the stage, as name=value pairs


FAILURES = (
    Failure(
        "abbreviation",
        "Meaning misses an abbreviation",
        "A vector sums a whole passage up; “NeRF” leaves hardly a trace in it.",
        "A search by keywords beside it.",
        "nerf",
        "search",
    ),
    Failure(
        "paraphrase",
        "Keywords miss a paraphrase",
        "The question describes the thing in words that the guide does not use.",
        "A search by meaning beside it.",
        "paraphrase",
        "search",
    ),
    Failure(
        "boundary",
        "A fact cut at a boundary",
        "Name and year end up in different passages; neither answers the question.",
        "Cutting between sentences, inside one section.",
        "gan",
        "passages",
        "size=160 overlap=10",
    ),
    Failure(
        "distractor",
        "A distractor is there",
        "The talk before was about GANs, so their passages come along, and they look much like the right one: same words, "
        "another subject. A small model then likes to answer the old question; this one did, before it was taught.",
        "Not the check: the sentence is true, only not asked for. More passages, a larger model, or a question that stands "
        "alone.",
        "distractor",
        "answer",
    ),
    Failure(
        "list-all",
        "“List all …”",
        "Only the closest passages are read; what stands in others cannot be listed.",
        "Saying so below the answer, as Fieldguide does. Or other tools than retrieval.",
        "list-all",
        "prompt",
    ),
    Failure(
        "pronoun",
        "A pronoun without its past",
        "“Who introduced it?” alone has no subject, so the search finds anything.",
        "Joining the question before it to the search, as in the run with a follow-up.",
        "pronoun",
        "question",
    ),
    Failure(
        "unanswerable",
        "No page has the answer",
        "The closest passage still looks close, and a model left to itself would write a fluent number.",
        "Refusing: see which signals decided, before a word was written.",
        "refusal",
        "check",
    ),
    Failure(
        "contradiction",
        "Two pages disagree",
        "Two passages give two years. The model picks one.",
        "The other page is asked the same question, alone. Code compares the numbers and adds what it says.",
        "contradiction",
        "check",
    ),
    Failure(
        "poison",
        "A poisoned page",
        "A passage gives orders. The default model's weights obeyed this one; taught to read passages, it answers the "
        "question all the same, in this run. Nothing promises that for other orders, and the check would find them supported.",
        "Rules in the prompt did not help such a small model. In the chat, code leaves sentences out that speak to the model: "
        "try both ways with Poison a page. No list of signs is complete; watch who may write into the guides.",
        "poisoned",
        "check",
    ),
    Failure(
        "stale",
        "A stale index",
        "The guides were corrected while the index was in use: the old year is still found, and cited as if it stood there.",
        "A fingerprint of the guides in the index, compared at every start. The box File shows both.",
        "stale",
        "check",
    ),
)


def failures_shown() -> str:
    """The gallery as a list of buttons with what goes wrong and what helps."""
    return "<ul class='fl-failures'>" + "".join(_failure(failure) for failure in FAILURES) + "</ul>"


def _failure(failure: Failure) -> str:
    return (
        f"<li><button type='button' class='fl-failure' data-learn='failure' data-failure='{failure.name}' "
        f"data-trace='{failure.trace}' data-stage='{failure.stage}' "
        f"data-settings='{failure.settings}'>{text(failure.title)}</button>"
        f"<p>{text(failure.why)} <b>What helps:</b> {text(failure.helps)}</p></li>"
    )
