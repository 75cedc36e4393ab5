"""The lessons: one idea each, a task that completes by doing it, and now and then a guess before the truth is shown.

`done_by` is what learn.js reports when a learner does something; docs/teach.md lists all of these.
"""

from dataclasses import dataclass

from fieldguide.interfaces.learn.pieces import button, text


@dataclass(frozen=True, slots=True)
class Guess:
    """A question to answer before looking: options, which one is right (from 0), and why."""

    question: str
    options: tuple[str, ...]
    right: int
    because: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """One idea on one recorded run, at one stage."""

    name: str
    title: str
    idea: str
    task: str
    trace: str
    stage: str
    done_by: str
    guess: Guess | None = None


LESSONS = (
    Lesson(
        "why",
        "Why look things up?",
        "A language model has read much and kept it blurred, in its weights. It cannot say where it has anything from, and "
        "it knows nothing of your own files. Retrieval-augmented generation (RAG) turns the exam into an open-book one: "
        "first search the books, then answer from the pages found. Below is one real run of this program. Its two lanes are "
        "the two halves: what happens once, and what happens for each question.",
        "Open any box of the second lane.",
        "gan",
        "question",
        "stage:search stage:prompt stage:answer stage:check stage:influence stage:timings",
    ),
    Lesson(
        "passages",
        "What is a passage?",
        "A whole guide is too long to compare with a question, and too long for a small model to read. A sentence alone is "
        "too short to be understood. So guides are cut into passages: a few sentences that stand under the same heading and "
        "stay together. The heading travels with them, because “It was introduced in 2014” says nothing without it. Colours "
        "show where one passage ends and the next begins.",
        "Open the box Passages and move the slider for the size.",
        "gan",
        "passages",
        "recut",
    ),
    Lesson(
        "boundary",
        "A fact cut in two",
        "If passages are cut by counting words, a boundary may fall into the middle of a fact: the name on one side, the "
        "year on the other. No search can mend that later, since neither half answers the question. Letting neighbours "
        "share some words helps, at the price of storing them twice. Fieldguide cuts between sentences and inside one "
        "section instead.",
        "Move the sliders until at least one of the three questions fails.",
        "gan",
        "passages",
        "recut:fails",
        Guess(
            "Passages of 160 words with 10 shared: will all three facts stay whole?",
            ("Yes, that is long enough", "No, some are cut apart"),
            1,
            "Length does not protect: where the boundary falls is chance. Try it.",
        ),
    ),
    Lesson(
        "vectors",
        "Meaning as numbers",
        "A second, much smaller model turns every passage into 384 numbers, and the question, too (with a small addition that "
        "was taught how people ask about AI). You cannot read them: no single number stands for “animal” or “year”. But texts "
        "that mean alike get numbers that point the same way, and how much they do so can be computed in a moment: 1 is the "
        "same direction, 0 has nothing to do with it. That is a search by meaning.",
        "Compare two texts of your own. Live: it waits for the small model.",
        "gan",
        "vectors",
        "compare",
    ),
    Lesson(
        "search",
        "Everything is scored",
        "A search does not open a drawer: it gives every passage a score and takes the highest. Most bars are low and stay "
        "low, and that is good. The two searches, by meaning and by keywords, disagree often. Their rankings are fused, so "
        "that what both like comes first, and the best sixty are then compared once more, word by word. What is not found "
        "here is lost for good: no later step can bring it back.",
        "Point at a word of the question, or reach it with Tab, and see where it was found.",
        "gan",
        "search",
        "word",
    ),
    Lesson(
        "abbreviation",
        "What meaning misses",
        "A vector is one summary of a whole passage. A rare abbreviation leaves hardly a trace in it, so a search by "
        "meaning may rank one page about NeRF first and another one, a table with the very same letters in it, behind a "
        "hundred others. A search by keywords does not understand a thing, but it finds the letters. That is why there are "
        "two.",
        "Open the recorded run on “NeRF” and look at its search.",
        "nerf",
        "search",
        "trace:nerf+search",
        Guess(
            "One page about NeRF is ranked 1st by one search and beyond the 100th place by the other. Which puts it first?",
            ("The one by meaning", "The one by keywords"),
            1,
            "The letters are there to be found; in the summary of a whole table they drown.",
        ),
    ),
    Lesson(
        "paraphrase",
        "What keywords miss",
        "Now the other way round: a question in everyday words. The guide says “diffusion” and “denoising”, the question says "
        "neither. A search by keywords knows only the words themselves, so the right page may stand far down or be "
        "missing, while a "
        "search by meaning recognises what is described. Follow the lines from the second column to the last.",
        "Open the recorded run with other words and look at its search.",
        "paraphrase",
        "search",
        "trace:paraphrase+search",
    ),
    Lesson(
        "prompt",
        "All that the model sees",
        "The model cannot reach the guides. It is given one text: rules, two worked examples, the passages that won, and "
        "the question. That is all it knows of you and of the world outside its weights. Here you read that text word for "
        "word, with its size in tokens. If an answer is bad, look here first: was the fact in the prompt at all?",
        "Open the box Prompt and read what stands right before the question.",
        "gan",
        "prompt",
        "stage:prompt",
        Guess(
            "Four passages are given. Where does the best one stand?",
            ("First", "In the middle", "Last"),
            2,
            "A small model heeds most what it read last, so the best comes right before the question.",
        ),
    ),
    Lesson(
        "tokens",
        "One token at a time",
        "The model does not look up an answer: it weighs every piece of a word it knows, takes one, and begins again. Where "
        "it copies from a passage, it is nearly certain; where it chooses its own words, there are runners-up. Temperature "
        "makes the choice more or less daring. At 0 the likeliest always wins, and the same question gets the same answer.",
        "Choose a token, then move the temperature.",
        "gan",
        "answer",
        "temperature",
    ),
    Lesson(
        "check",
        "Citations that cannot lie",
        "A model asked to cite may invent a source as readily as a fact. So here the model only writes, and code sets the "
        "citations: each sentence is held against every sentence that was read. Words and meaning must be near, and numbers "
        "and names must agree. What no passage says is marked as not supported. A citation is a place that you can read "
        "yourself.",
        "Open the box Check and read the sentence that supports the answer.",
        "gan",
        "check",
        "stage:check",
    ),
    Lesson(
        "refusal",
        "Saying no",
        "The closest passage always exists, even when the answer does not. A good system notices. Here a gate reads several "
        "signals: how well the best passage fits, what goes on inside the model, whether any sentence of its draft is "
        "supported. Together they decide, before and after writing. None of them is certain, and the mistakes are counted "
        "and published.",
        "Open the recorded refusal and find out why it refused.",
        "refusal",
        "check",
        "trace:refusal+check",
        Guess(
            "The guides do not say how many parameters GPT-4 has. When was that noticed in this run?",
            ("Before the first word", "When the draft was checked"),
            0,
            "The signals after reading were enough. Open Check and read the numbers; other questions get as far as a draft.",
        ),
    ),
    Lesson(
        "obedience",
        "The page or the memory?",
        "Who is right when a page and the model's memory disagree? Here one number in the passages was swapped for a false "
        "one, and the same question asked. If the model repeats the false number, it obeys the page: what you want of such "
        "a system, and also its danger, since whoever writes the page writes the answer. Checking finds nothing wrong: the "
        "page says so.",
        "Open the run with the swapped fact.",
        "swapped",
        "answer",
        "trace:swapped",
        Guess(
            "The passages now say 1998 instead of 2014. What will the answer say?",
            ("2014", "1998"),
            1,
            "It copies what it reads. The guides must be right; the model will not notice.",
        ),
    ),
    Lesson(
        "influence",
        "Which page did it?",
        "Delete one passage, let the model read the rest, and ask how likely it is now to write the very same answer. Do so "
        "for each passage, and you know which one the answer hangs on. This is measured, not guessed, and it costs little "
        "here, because what was read once is kept: only the question has to be read again.",
        "Open the box Influence and find the longest bar.",
        "gan",
        "influence",
        "stage:influence",
        Guess(
            "The passage that is cited is deleted. How much less likely is the same answer then?",
            ("Millions of times", "Hardly at all"),
            1,
            "Another passage holds the same fact. Open the run with the best passage taken away: there the other carries "
            "it alone.",
        ),
    ),
    Lesson(
        "cache",
        "Reading is what takes time",
        "On a laptop the slow part is not the search, which takes a blink, nor the writing, but reading the prompt. "
        "Passages come again from question to question, so what the model computed while reading one is kept on disk and "
        "moved into place the next time. The same answer begins several times sooner.",
        "Open the box Timings and compare cold with cached.",
        "gan",
        "timings",
        "stage:timings",
        Guess(
            "Where does the most time go when nothing is cached?",
            ("Searching all passages", "Reading the prompt", "Checking the sentences"),
            1,
            "Hundreds of tokens go through the whole model before the first word.",
        ),
    ),
)


def lessons_shown() -> str:
    """All lessons, closed, in their order."""
    return "".join(_lesson(number, lesson) for number, lesson in enumerate(LESSONS, 1))


def _lesson(number: int, lesson: Lesson) -> str:
    return (
        f"<article class='fl-lesson' id='lesson-{lesson.name}' data-lesson='{lesson.name}' data-trace='{lesson.trace}' "
        f"data-stage='{lesson.stage}' data-done-by='{text(lesson.done_by)}'><h3><button type='button' class='fl-lesson-head' "
        f"data-learn='lesson' data-lesson='{lesson.name}' aria-expanded='false' aria-controls='idea-{lesson.name}'>"
        f"<span class='fl-done' aria-hidden='true'></span>{number}. {text(lesson.title)}<span class='fg-hidden "
        "fl-state'></span></button></h3>"
        f"<div id='idea-{lesson.name}' class='fl-idea' hidden><p>{text(lesson.idea)}</p>{_guess(lesson)}"
        f"<p class='fl-task'><b>Do it:</b> {text(lesson.task)}</p><p class='fl-well-done' role='status'></p>"
        f"{button('next', 'Next lesson')}</div></article>"
    )


def _guess(lesson: Lesson) -> str:
    guess = lesson.guess
    if guess is None:
        return ""
    options = "".join(
        "<button type='button' class='fg-button' data-learn='guess' "
        f"data-right='{str(n == guess.right).lower()}'>{text(option)}</button>"
        for n, option in enumerate(guess.options)
    )
    return (
        f"<fieldset class='fl-guess'><legend><b>Guess first:</b> {text(guess.question)}</legend>{options}"
        f"<p class='fl-because' hidden>{text(guess.because)}</p></fieldset>"
    )
