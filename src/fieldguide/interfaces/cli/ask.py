"""`fieldguide ask`: one question, or a conversation in the terminal."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from fieldguide.errors import FieldguideError, QuestionError
from fieldguide.events import Event, Failed, Finished, Loading, Reading, Token, Withdrawn, as_object
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.answerer import Answers
from fieldguide.interfaces.cli.terminal import LoadingDisplay, interruptible, read_question
from fieldguide.interfaces.running import find_running
from fieldguide.interfaces.streaming import progress_of
from fieldguide.settings import resolve_settings
from fieldguide.types import Answer, Turn


def ask(
    question: str | None,
    flags: Mapping[str, Any],
    *,
    as_json: bool,
    explain: bool,
    verbose: bool,
    collections: Sequence[str] = (),
) -> None:
    """Answer and print; without a question, go on asking until the input ends.

    A Fieldguide that runs on this machine already is asked, as it has loaded everything.
    """
    settings = resolve_settings(flags)
    running = find_running(settings)
    if verbose:
        sys.stderr.write(f"Asking the Fieldguide that runs at {running.url}\n" if running else "Loading a Fieldguide.\n")
    if running:
        _ask(running, question, collections, as_json=as_json, explain=explain)
        return
    from fieldguide.assembly import Fieldguide  # heavy: not needed where another one answers

    fieldguide = Fieldguide(settings)
    fieldguide.start()
    _ask(fieldguide, question, collections, as_json=as_json, explain=explain)
    fieldguide.close()


def _ask(answerer: Answers, question: str | None, collections: Sequence[str], *, as_json: bool, explain: bool) -> None:
    if question is None:
        _converse(answerer, collections, as_json=as_json, explain=explain)
    else:
        _answer_once(answerer, read_question(question), (), collections, as_json=as_json, explain=explain)


def _converse(answerer: Answers, collections: Sequence[str], *, as_json: bool, explain: bool) -> None:
    history: list[Turn] = []
    on_terminal = sys.stdin.isatty()
    if on_terminal:
        sys.stderr.write("Ask away. An empty line or Ctrl-D ends; Ctrl-C stops an answer.\n")
    while True:
        try:
            if on_terminal:
                sys.stderr.write("\n> ")
                sys.stderr.flush()
            typed = sys.stdin.readline()
        except KeyboardInterrupt:
            typed = ""
        except UnicodeDecodeError as error:
            raise QuestionError("Standard input is not UTF-8 text.", "Save the questions as UTF-8.") from error
        line = typed.strip()
        if typed and not line and not on_terminal:
            continue
        if not line:
            return
        try:
            answer = _answer_once(answerer, line, history, collections, as_json=as_json, explain=explain)
        except FieldguideError as error:
            if not on_terminal:
                raise
            sys.stderr.write(f"{error}\n")
            continue
        history += [Turn("user", line), Turn("assistant", answer.text)]


def _answer_once(
    answerer: Answers,
    question: str,
    history: Sequence[Turn],
    collections: Sequence[str],
    *,
    as_json: bool,
    explain: bool,
) -> Answer:
    """Print the answer as it comes; raises FieldguideError where the stream ends in a failure."""
    cancellation = Cancellation()
    trace: list[Event] = []
    streamed = False
    with LoadingDisplay() as display:
        events = answerer.answer(question, history, cancellation=cancellation, collections=collections)
        for event in interruptible(events, cancellation):
            trace.append(event)
            status = progress_of(event)
            if status:
                display.show(status)
            elif isinstance(event, Token) and not as_json:
                display.__exit__()  # bars and prose do not mix
                _write(event.text)
                streamed = True
            elif isinstance(event, Withdrawn) and not as_json:
                _write(f"\n[withdrawn: {event.reason}]\n")
                streamed = False
    last = trace[-1]
    if isinstance(last, Failed):
        if streamed:
            _write("\n")
        raise FieldguideError(last.message, last.remedy)
    assert isinstance(last, Finished)
    if as_json:
        _write(json.dumps(last.answer.as_object(), ensure_ascii=False) + "\n")
    else:
        _write(_after_the_prose(last.answer, streamed=streamed))
    if explain:
        _explain(trace)
    return last.answer


def _after_the_prose(answer: Answer, *, streamed: bool) -> str:
    if answer.abstained:
        lines = [answer.text, "", "Closest passages"]
        lines += [f"  {hit.chunk.document}, {hit.chunk.section}" for hit in answer.retrieved[:3]]
        return "\n".join(lines) + "\n"
    lines = ["" if streamed else answer.text, ""]
    if [sentence.verdict for sentence in answer.sentences] != ["supported"]:
        for number, sentence in enumerate(answer.sentences, 1):
            markers = "".join(f"[{marker}]" for marker in sentence.markers)
            lines.append(f"Sentence {number}: {sentence.verdict} {markers}".rstrip())
        lines.append("")
    if answer.note:
        lines += [f"Note: {answer.note}", ""]
    lines.append("Sources")
    for citation in answer.citations:
        lines.append(f"  [{citation.marker}] {citation.document}, {citation.section}")
        lines.append(f'      "{" ".join(citation.quote.split())}"')
    return "\n".join(lines) + "\n"


def _explain(trace: list[Event]) -> None:
    """The trace, one event after the other, on standard error; tokens and progress are summed up in the other events."""
    for event in trace:
        if isinstance(event, Token | Reading | Loading):
            continue
        content = as_object(event)
        if "result" in content:
            content["result"]["similarities"] = f"{len(content['result']['similarities'])} passages"
        sys.stderr.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
