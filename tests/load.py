"""Many users at once, against a real server: does everybody get an answer, in turn, in bounded memory?

    python tests/load.py [--users 50] [--minutes 10] [--report evaluation/reports/load.md]

Each user asks, waits for the answer and asks again at once; the first one is greedy and has three questions in the line all
the time. Ends with status 1 when a promise is broken. It is a script of our own because a general tool (Locust) knows neither
event streams nor shares nor the server's memory, and brings seventeen packages that replace Python's sockets.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import psutil

from browser import free_port
from fieldguide.evaluation.questions import load_questions

ROOT = Path(__file__).parent.parent
GREEDY = 3  # questions that the first user has in the line
_SAMPLE_SECONDS = 1.0
_SETTLES = 300.0  # seconds of load below which nothing has settled
_SETTLED = 0.3  # after this share of the time, memory should not grow any more


@dataclass
class Load:
    """What was seen."""

    users: int
    seconds: float = 0.0
    answered: Counter[int] = field(default_factory=Counter)  # by user
    refusals: int = 0
    turned_away: int = 0
    waits: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    off_by: list[float] = field(default_factory=list)  # first estimate minus the truth, in seconds
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB
    processor_seconds: float = 0.0  # that the server used

    @property
    def total(self) -> int:
        """Questions that were answered."""
        return self.answered.total()

    @property
    def per_minute(self) -> float:
        """Answers a minute."""
        return self.total / self.seconds * 60

    @property
    def polite(self) -> list[int]:
        """Answers of each user but the greedy one."""
        return [self.answered[user] for user in range(1, self.users)]

    @property
    def growth(self) -> float:
        """How much more memory the server holds at the end than once it had settled, as a share."""
        settled = self.memory[int(len(self.memory) * _SETTLED) :]
        tenth = max(1, len(settled) // 10)
        return statistics.mean(settled[-tenth:]) / statistics.mean(settled[:tenth]) - 1

    def broken_promises(self) -> list[str]:
        """What should not have been seen."""
        broken = list(self.errors)
        if max(self.positions, default=0) < min(20, self.users - 2):
            broken.append(f"the line was never longer than {max(self.positions, default=0)}")
        if max(self.polite) - min(self.polite) > 2:
            broken.append(f"some got {max(self.polite)} answers, some {min(self.polite)}")
        if self.answered[0] > max(self.polite) + GREEDY:
            broken.append(f"the greedy one got {self.answered[0]} answers, the others at most {max(self.polite)}")
        if self.seconds >= _SETTLES and self.growth > 0.05:
            broken.append(f"memory grew by {self.growth:.0%}")
        return broken


@contextmanager
def server(command: Sequence[str], users: int) -> Iterator[tuple[str, list[str], psutil.Process]]:
    """A server that is ready, with a token for each user: its address, the tokens, its process."""
    tokens, port = [secrets.token_hex(16) for _ in range(users)], free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens"
        file.write_text("".join(f"user-{number} {token}\n" for number, token in enumerate(tokens)))
        environment = {**os.environ, "FIELDGUIDE_REQUESTS_PER_MINUTE": "10000"}  # the line itself is what is tested
        log = (Path(folder) / "log").open("w")
        arguments = [*command, "--port", str(port), "--token-file", str(file)]
        process = subprocess.Popen(arguments, env=environment, stderr=log, stdout=log)
        url = f"http://127.0.0.1:{port}/"
        try:
            while not _is_ready(url):
                assert process.poll() is None, Path(folder, "log").read_text()[-2000:]
                time.sleep(0.2)
            yield url, tokens, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}readyz").status_code == 200
    except httpx.HTTPError:
        return False


async def measure(url: str, tokens: Sequence[str], process: psutil.Process, questions: Sequence[str], seconds: float) -> Load:
    """Let all users ask for so long; what is under way then is waited for."""
    load, until = Load(len(tokens)), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(600, connect=60), limits=limits) as client:
        people = [0] * GREEDY + list(range(1, len(tokens)))
        watching = asyncio.create_task(_watch(load, process))
        began, used = time.monotonic(), _processor_seconds(process)
        await asyncio.gather(
            *(_user(client, load, user, tokens[user], questions, until, place) for place, user in enumerate(people))
        )
        load.seconds, load.processor_seconds = time.monotonic() - began, _processor_seconds(process) - used
        watching.cancel()
    return load


def _processor_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


async def _watch(load: Load, process: psutil.Process) -> None:
    while True:
        load.memory.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _user(
    client: httpx.AsyncClient, load: Load, user: int, token: str, questions: Sequence[str], until: float, place: int
) -> None:
    number = place * 7  # everybody begins with another question
    while time.monotonic() < until:
        question = questions[number % len(questions)]
        number += 1
        try:
            await _ask(client, load, user, token, question)
        except httpx.HTTPError as error:
            load.errors.append(f"{type(error).__name__}: {error}")


async def _ask(client: httpx.AsyncClient, load: Load, user: int, token: str, question: str) -> None:
    asked, estimate, turn = time.monotonic(), None, None
    headers = {"authorization": f"Bearer {token}"}
    async with client.stream("POST", "/api/ask", json={"question": question}, headers=headers) as answer:
        if answer.status_code == 429:
            load.turned_away += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
            return
        event = {"event": f"status {answer.status_code}"}
        async for line in answer.aiter_lines():
            event = json.loads(line)
            if event["event"] == "Queued":
                load.positions.append(event["position"])
                estimate = (time.monotonic(), event["seconds"]) if estimate is None and event["seconds"] else estimate
            elif turn is None:
                turn = time.monotonic()
    if event["event"] != "Finished":
        load.errors.append(f"{question}: {event}")
        return
    load.answered[user] += 1
    load.refusals += event["answer"]["abstained"]
    load.waits.append(time.monotonic() - asked)
    if estimate and turn:
        load.off_by.append(estimate[0] + estimate[1] - turn)


def report(load: Load, what: str) -> str:
    """The figures, as a page."""
    waits, polite = sorted(load.waits), load.polite
    off = sorted(map(abs, load.off_by))
    settled = load.memory[int(len(load.memory) * _SETTLED)]
    rows = [
        ("users, all the time", f"{load.users}, the first with {GREEDY} questions at once"),
        ("time", f"{load.seconds:.0f} s, the last answers included"),
        ("answers", f"{load.total}, {load.per_minute:.1f} a minute; {load.refusals} of them refusals"),
        ("processor time of an answer", f"{load.processor_seconds / max(load.total, 1):.1f} s, on all cores together"),
        ("longest line", f"{max(load.positions, default=0)} before a question"),
        ("turned away with 429", str(load.turned_away)),
        ("errors", "; ".join(load.errors[:5]) or "none"),
        ("from question to answer", f"median {statistics.median(waits):.1f} s, longest {waits[-1]:.1f} s"),
        ("time told at first, off by", f"median {statistics.median(off):.1f} s of that" if off else "-"),
        ("answers of each user", f"{min(polite)} to {max(polite)}; the greedy one {load.answered[0]}"),
        ("memory", f"{settled:.0f} MB once settled, {load.memory[-1]:.0f} MB at the end ({load.growth:+.1%})"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    broken = "".join(f"- {promise}\n" for promise in load.broken_promises())
    return (
        f"# Many users at once\n\n`python tests/load.py`, {date.today()}, {what}, {os.cpu_count()} cores.\n\n"
        f"| | |\n|---|---|\n{table}\n\n" + (f"Broken promises:\n\n{broken}" if broken else "Every promise was kept.\n")
    )


def main() -> int:
    """Measure with the real weights, write the report, and say whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--questions", type=int, default=40, help="how many different ones")
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation" / "reports" / "load.md")
    asked = parser.parse_args()
    questions = [q.question for q in load_questions(ROOT / "evaluation" / "questions.jsonl") if not q.history][
        : asked.questions
    ]
    with server([sys.executable, "-m", "fieldguide", "serve"], asked.users) as (url, tokens, process):
        load = asyncio.run(measure(url, tokens, process, questions, asked.minutes * 60))
    text = report(load, f"the default weights, {len(questions)} questions about the guides in turn")
    asked.report.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 1 if load.broken_promises() else 0


if __name__ == "__main__":
    sys.exit(main())
