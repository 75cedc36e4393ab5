"""Hours of questions, compressed: the real program with the tiny model, and what it holds on to.

    python tests/soak.py [--questions 3000] [--report evaluation/reports/soak.md]

Questions, follow-ups, stops in the middle, kept conversations, and now and then an index that is built anew beside it. Memory,
open files, threads and temporary files must not grow. `make test` runs a sample.
"""

import argparse
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from fieldguide.answering.reader import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.events import Failed, Finished, Token
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Exchange, new_identifier
from fieldguide.settings import resolve_settings
from fieldguide.types import Turn

ROOT = Path(__file__).parent.parent
SECTIONS = 40
OWNER = "a" * 32
_POOLS = ("tokio-", "sqlx-")  # threads of Chroma


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds after so many questions."""

    questions: int
    megabytes: float
    open_files: int
    threads: int
    temporary_files: int


def write_guides(folder: Path, turn: int) -> None:
    """Two small guides; a part of them is new in each turn."""
    folder.mkdir(exist_ok=True)
    for guide in range(2):
        parts = [f"# Lights of coast {guide}"]
        for number in range(SECTIONS):
            year = 1800 + number + (turn if number == 0 else 0)
            parts.append(
                f"## Light {guide} {number}\n\nLight {guide} {number} was built in {year} and burns oil. It has {number} steps."
            )
        (folder / f"coast-{guide}.md").write_text("\n\n".join(parts) + "\n")


def sample(questions: int, temporary: Path) -> Sample:
    """What is held now.

    Chroma keeps as many connections to each of its databases, and threads for them, as once were needed at one time: by
    chance more or fewer, whatever is asked. Of each database one connection counts, and none of those threads; an index that
    stays open is seen by its other files.
    """
    gc.collect()
    process = psutil.Process()
    databases = [file.path for file in process.open_files() if "chroma.sqlite3" in file.path]
    pooled = sum(_name_of(thread.id).startswith(_POOLS) for thread in process.threads())
    return Sample(
        questions,
        round(process.memory_info().rss / 1e6, 1),
        (process.num_fds() if hasattr(process, "num_fds") else 0) - (len(databases) - len(set(databases))),
        process.num_threads() - pooled,
        sum(1 for _ in temporary.rglob("*")),
    )


def _name_of(thread: int) -> str:
    """What Linux calls a thread; elsewhere, or where it has ended, ''."""
    try:
        return Path(f"/proc/self/task/{thread}/comm").read_text()
    except OSError:
        return ""


def soak(questions: int, folder: Path, every: int, seed: int = 0, rebuilt: int = 100) -> list[Sample]:
    """Ask so many questions; a sample of what is held after each `every` of them, a new index after each `rebuilt`."""
    chance, temporary = random.Random(seed), folder / "tmp"
    temporary.mkdir(parents=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    write_guides(folder / "guides", 0)
    given = {"data_dir": folder / "data", "guides_dir": folder / "guides", "model": "tiny", "context_length": 2048}
    fieldguide = Fieldguide(resolve_settings(given))
    for _ in fieldguide.loading():
        pass
    store, conversation, samples = ConversationStore(folder / "data" / "conversations"), new_identifier(), []
    history: list[Turn] = []
    for number in range(questions):
        question = f"When was light {chance.randrange(2)} {chance.randrange(SECTIONS)} built?"
        if history and chance.random() < 0.3:
            question = "And how many steps does it have?"
        cancellation = Cancellation()
        for event in fieldguide.answer(question, history, AnswerOptions(passages=2, answer_tokens=6), cancellation):
            if isinstance(event, Token) and chance.random() < 0.02:
                cancellation.cancel()
        assert isinstance(event, Finished) or (isinstance(event, Failed) and event.reason == "cancelled"), event
        if isinstance(event, Finished):
            history = [Turn("user", question), Turn("assistant", event.answer.text)]
            position = len(store.load(OWNER, conversation).exchanges)
            store.put(OWNER, conversation, position, Exchange(question, event.answer))
            if position >= 5:
                store.delete(OWNER, conversation)
                conversation, history = new_identifier(), []
        if number % rebuilt == 10:
            write_guides(folder / "guides", number)
            fieldguide.ingest(lambda _: None)
        if (number + 1) % every == 0:
            samples.append(sample(number + 1, temporary))
            sys.stderr.write(f"{samples[-1]}\n")
    fieldguide.close()
    return samples


def growth(samples: list[Sample]) -> Sample:
    """How much more is held at the end than after the first fifth, in which caches fill."""
    first, last = samples[len(samples) // 5], samples[-1]
    return Sample(
        last.questions - first.questions,
        round(last.megabytes - first.megabytes, 1),
        last.open_files - first.open_files,
        last.threads - first.threads,
        last.temporary_files - first.temporary_files,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation" / "reports" / "soak.md")
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(asked.questions, Path(folder), max(1, asked.questions // 20))
    minutes, more = (time.monotonic() - began) / 60, growth(samples)
    lines = [
        "# Soak",
        "",
        f"Commit {commit}. `python tests/soak.py --questions {asked.questions}` makes this report; so does `make endurance`.",
        "",
        f"{asked.questions:,} questions in {minutes:.0f} minutes, asked of the real program with the tiny model: with"
        " follow-ups, stops in the middle, kept conversations, and a new index after every hundred.",
        "",
        f"From the first fifth on memory grew by {more.megabytes} MB, open files by {more.open_files}, threads by"
        f" {more.threads}, temporary files by {more.temporary_files}.",
        "",
        "| questions | memory, MB | open files | threads | temporary files |",
        "|---|---|---|---|---|",
        *(f"| {s.questions} | {s.megabytes} | {s.open_files} | {s.threads} | {s.temporary_files} |" for s in samples),
    ]
    asked.report.write_text("\n".join(lines) + "\n")
    sys.stdout.write(asked.report.read_text())
    assert more.megabytes < 60
    assert max(more.open_files, more.threads, more.temporary_files) <= 2


if __name__ == "__main__":
    main()
