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
        "A vector sums a whole passage up; “VLA” leaves hardly a trace in it.",
        "A search by keywords beside it.",
        "vla",
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
        "A distractor wins",
        "With the right passage gone, the next best looks much the same: same words, another subject.",
        "Checking each sentence, and a gate that may refuse.",
        "removed",
        "check",
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
        "The closest passage still looks close, and the model writes a fluent number.",
        "Refusing: see which signals decided.",
        "refusal",
        "check",
    ),
    Failure(
        "contradiction",
        "Two pages disagree",
        "Two passages give two years. The model picks one.",
        "Code compares the numbers and adds what the other page says.",
        "contradiction",
        "check",
    ),
    Failure(
        "poison",
        "A poisoned page",
        "A passage gives orders instead of facts.",
        "Rules that call passages material, control marks kept out of documents, and a check of the result.",
        "poisoned",
        "check",
    ),
    Failure(
        "stale",
        "A stale index",
        "The guide was corrected, the index was not: the old year is still found, and cited as if it were true.",
        "A fingerprint of the guides in the index, compared at every start.",
        "swapped",
        "check",
    ),
)


def failures_shown() -> str:
    """The gallery as a list of buttons with what goes wrong and what helps."""
    return "<ul class='fl-failures'>" + "".join(_failure(failure) for failure in FAILURES) + "</ul>"


def _failure(failure: Failure) -> str:
    return (
        f"<li><button type='button' class='fl-failure' data-learn='failure' data-failure='{failure.name}' "
        f"data-trace='{failure.trace}' data-stage='{failure.stage}' data-settings='{failure.settings}'>{text(failure.title)}</button>"
        f"<p>{text(failure.why)} <b>What helps:</b> {text(failure.helps)}</p></li>"
    )
