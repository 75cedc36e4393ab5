"""Kills at hundreds of random moments of everything that writes, and a flipped byte in every file of a data folder.

    python tests/endurance_faults.py [--kills 200] [--flips 5] [--report evaluation/reports/endurance-faults.md]

After each kill, what was reported as done is there and whole, and the next process goes on. Each damage is found and named with
its remedy, mended, or harmless. `make test` runs a sample.
"""

import argparse
import json
import multiprocessing
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import writers
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.index import open_index
from fieldguide.interfaces.conversation_store import ConversationStore
from test_hub import HubStandIn

ROOT = Path(__file__).parent.parent


def forking() -> multiprocessing.context.ForkServerContext:
    """Processes that begin at once: what they need is imported in the one that they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["writers"])
    return context


def kill_at_random(name: str, times: int, folder: Path, seed: int = 0, turn: int | str | None = None) -> Counter[str]:
    """Kill one of the writers at random moments of its work, each going on with what the last one left, and look each time."""
    chance, came = random.Random(seed), Counter[str]()
    context, log, usual = forking(), folder / "log", 1.0
    folder.mkdir(parents=True)
    for number in range(times + 1):
        log.unlink(missing_ok=True)
        argument = number if turn is None else turn
        begun = context.Event()
        process = context.Process(target=writers.run, args=(name, folder / "data", argument, log, begun))
        process.start()
        assert begun.wait(120)  # else the kill would meet an import
        started = time.monotonic()
        if number:  # the first one shows how long a round takes
            process.join(chance.random() * usual)
            process.kill()
        process.join()
        done = log.read_text().split("\n")[:-1] if log.exists() else []
        if process.exitcode == 0:  # the first round takes longer than those after it
            usual = min(usual, time.monotonic() - started) if number else time.monotonic() - started
        else:
            assert number
            assert process.exitcode == -signal.SIGKILL
        if number:
            came["had ended before" if process.exitcode == 0 else "killed at work"] += 1
        globals()[f"look_at_{name}"](folder / "data", argument, done)
    argument, begun = times + 1 if turn is None else turn, context.Event()
    process = context.Process(target=writers.run, args=(name, folder / "data", argument, log, begun))
    process.start()
    process.join()
    assert process.exitcode == 0, "what was killed so often can still be written"
    return came


def look_at_index(data: Path, turn: int, done: list[str]) -> None:
    """An index that was reported is the one in use; otherwise it is that one or the one before, and whole."""
    index, reported = open_index(data), data.with_name("reported")
    texts = {chunk.text for chunk in index.passage_store.chunks()}
    ids = {chunk.id for chunk in index.passage_store.chunks()}
    years = {int(text.split("year ")[1].rstrip(".")) for text in texts} - {0}
    assert len(years) <= 1  # never some of each
    latest = max(years, default=0)
    assert latest == turn if done else latest in (int(reported.read_text()), turn)
    reported.write_text(str(latest))
    assert set(index.vector_store.vectors()) == ids
    assert len(ids) == index.manifest.passages == writers.DOCUMENTS
    index.close()


def look_at_states(data: Path, turn: int, done: list[str]) -> None:
    """Every state that was reported is there, and none is there by halves."""
    cache = PassageCache(data, 10**9)
    for number in range(writers.STATES):
        found = cache.get(writers.key(turn, number))
        assert found in (None, writers.state(turn, number))
        assert found or str(number) not in done
    cache.clear()


def look_at_conversation(data: Path, turn: int, done: list[str]) -> None:
    """Every exchange that was reported is there, in its order, and the list knows no unusable file."""
    store = ConversationStore(data)
    questions = [exchange.question for exchange in store.load(writers.OWNER, writers.CONVERSATION).exchanges]
    assert len(set(questions)) == len(questions)
    told = [f"Question {line}?" for line in done if not line.startswith("deleted")]
    assert [question for question in questions if question.startswith(f"Question {turn} ")][: len(told)] == told
    listing = store.list(writers.OWNER)
    assert listing.problems == ()
    for line in done:
        if line.startswith("deleted"):
            assert line.split()[1] not in {kept.id for kept in listing.conversations}


def look_at_weights(data: Path, endpoint: str, done: list[str]) -> None:
    """What has the name of the weights is the weights; what was fetched is kept for the next try."""
    path = data / "toy.gguf"
    if path.exists():
        assert path.read_bytes() == writers.weights_content()
        path.unlink()  # so that there is something to do for the next one
    else:
        assert "pulled" not in done


KILLED = ("index", "states", "conversation", "weights")


def kill(name: str, times: int, folder: Path) -> Counter[str]:
    """Kill one of them; weights are served from this process."""
    if name != "weights":
        return kill_at_random(name, times, folder)
    with HubStandIn() as hub:
        hub.publish("toy.gguf", writers.weights_content(), writers.SOURCE)
        return kill_at_random(name, times, folder, turn=hub.endpoint)


def flip_everywhere(times: int, folder: Path, seed: int = 0) -> Counter[str]:
    """Flip a byte at random places of every file of a data folder; gives what came of it, by file and outcome.

    No damage may end a process or show a text that was not written: it is named with its remedy, mended, or harmless.
    """
    chance, came, context = random.Random(seed), Counter[str](), forking()
    whole, result = folder / "whole", folder / "result.json"
    whole.parent.mkdir(parents=True, exist_ok=True)
    writers.write_everything(whole)
    sound = read_in_a_process(context, shutil.copytree(whole, folder / "sound"), result)
    assert not any("error" in part for part in sound.values() if isinstance(part, dict)), sound
    for path in sorted(path for path in whole.rglob("*") if path.is_file() and path.stat().st_size):
        for _ in range(times):
            damaged = shutil.copytree(whole, folder / "damaged")
            data = bytearray(path.read_bytes())
            place = chance.randrange(len(data))
            data[place] ^= 1 << chance.randrange(8)
            (damaged / path.relative_to(whole)).write_bytes(data)
            found = read_in_a_process(context, damaged, result)
            name = re.sub(r"[0-9a-f-]{36}|[0-9a-f]{8,}", "…", str(path.relative_to(whole)))
            came[f"{name}: {outcome(sound, found, f'{name} at {place}')}"] += 1
            shutil.rmtree(damaged)
    return came


def read_in_a_process(context: multiprocessing.context.ForkServerContext, data: Path, result: Path) -> dict[str, Any]:
    result.unlink(missing_ok=True)
    process = context.Process(target=writers.read_everything, args=(data, result))
    process.start()
    process.join(120)
    assert process.exitcode == 0, f"reading ended with {process.exitcode}"
    return json.loads(result.read_text())


def outcome(sound: dict[str, Any], found: dict[str, Any], what: str) -> str:
    """Named, mended or harmless; anything else is a failure."""
    named = [part for part in found.values() if isinstance(part, dict)]
    for name, part in found.items():
        if isinstance(part, dict) or name == "settings":
            continue  # who changes a setting is not contradicted
        texts = set(part) if isinstance(part, list) else {part, ""}
        allowed = set(sound[name]) if isinstance(part, list) else {sound[name], ""}
        assert texts <= allowed, f"{what}: another text was shown in {name}: {texts - allowed}"
        assert texts, f"{what}: nothing was found in {name}, and nothing said"
    return "named with its remedy" if named else "harmless, or mended unasked"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flips", type=int, default=5)
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation" / "reports" / "endurance-faults.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kills = {name: kill(name, asked.kills, Path(folder) / name) for name in KILLED}
        flips = flip_everywhere(asked.flips, Path(folder) / "flips")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# Faults",
        "",
        f"Commit {commit}. `python tests/endurance_faults.py` makes this report; `make endurance` runs it, too.",
        "",
        f"Each of these was killed (`SIGKILL`) {asked.kills} times at random moments of a round of work.",
        "",
        "| what was writing | killed at work | had ended before | lost or damaged of what was reported as done |",
        "|---|---|---|---|",
        *(f"| {name} | {came['killed at work']} | {came['had ended before']} | 0 |" for name, came in kills.items()),
        "",
        f"In each file of a data folder a byte was flipped at {asked.flips} random places, one at a time. No process ended,",
        "and no text was shown that had not been written.",
        "",
        "| file: outcome | times |",
        "|---|---|",
        *(f"| {what} | {count} |" for what, count in sorted(flips.items())),
    ]
    asked.report.write_text("\n".join(lines) + "\n")
    sys.stdout.write(asked.report.read_text())


if __name__ == "__main__":
    main()
