"""How long a start takes: from `fieldguide chat` to the page, to each part that loads behind it, and to the first answer.

    python benchmarks/start_up.py [--rounds 3] [--report benchmarks/reports/start-up.md]

Weights and index must be there (`fieldguide ingest`), and files have been read before: what a second start costs, not the first
one after the machine was switched on. The question is asked as soon as the page is there, so it waits for what still loads.
"""

import argparse
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from bars import draw

from fieldguide.evaluation.markdown import table, write_with_figures

QUESTION = "Who introduced GANs, and when?"
POLL_SECONDS = 0.02
LIBRARIES = ("gradio", "sentence_transformers")  # what there is no way around
PAGE, ANSWERS, FIRST_WORD = "page", "can answer", "first word of a question asked at once"
Span = tuple[float, float]


def start(command: str) -> dict[str, Span]:
    """One start, then an end: for each part from when to when, in seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, spans = f"http://127.0.0.1:{port}", dict[str, Span]()
    began = time.perf_counter()
    process = subprocess.Popen([command, "chat", "--no-browser", "--port", str(port)], stdout=subprocess.DEVNULL)

    def passed() -> float:
        return time.perf_counter() - began

    def ask() -> None:
        with httpx.stream("POST", f"{address}/api/ask", json={"question": QUESTION}, timeout=120) as lines:
            next(line for line in lines.iter_lines() if '"Token"' in line)
            spans[FIRST_WORD] = (spans[PAGE][1], passed())

    try:
        with httpx.Client(timeout=30) as client:
            while PAGE not in spans:
                time.sleep(POLL_SECONDS)
                if process.poll() is not None:
                    raise SystemExit("fieldguide chat ended at once; start it by hand to see why.")
                try:
                    client.get(address).raise_for_status()
                    spans[PAGE] = (0.0, passed())
                except httpx.HTTPError:
                    continue
            asking = threading.Thread(target=ask)
            asking.start()
            ready = False
            while not ready:
                status: dict[str, Any] = client.get(f"{address}/api/status").json()
                for loading in status["loading"]:
                    spans[loading["what"]] = (spans.get(loading["what"], (passed(),))[0], passed())
                ready = status["ready"]
                time.sleep(POLL_SECONDS)
            spans[ANSWERS] = (0.0, passed())
            asking.join()
    finally:
        process.terminate()
        process.wait(30)
    return spans


def run_time(*command: str) -> float:
    """Seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios, start by start."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    command = shutil.which("fieldguide", path=str(Path(sys.executable).parent)) or "fieldguide"
    seen: dict[str, list[Span]] = defaultdict(list)
    alone: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):  # in turns, as a machine's speed changes
        for name, span in start(command).items():
            seen[name].append(span)
        for name in LIBRARIES:
            alone[name].append(run_time(sys.executable, "-c", f"import {name}"))
        alone["help"].append(run_time(command, "--help"))
    middle = {name: (median(s[0] for s in spans), median(s[1] for s in spans)) for name, spans in seen.items()}
    ordered = dict(sorted(middle.items(), key=lambda item: item[1][1]))
    found: dict[str, Any] = {
        "about": f"{os.cpu_count()} cores ({platform.machine()}), medians of {options.rounds} starts, files read before.",
        "seconds": ordered,
        "alone_s": {name: median(seconds) for name, seconds in alone.items()},
        "page_against_gradio": ratio([end for _, end in seen[PAGE]], alone["gradio"]),
        "answers_against_both": ratio(
            [end for _, end in seen[ANSWERS]], [sum(pair) for pair in zip(*(alone[n] for n in LIBRARIES), strict=True)]
        ),
    }
    rows = [[name, f"{begin:.1f}", f"{end:.1f}"] for name, (begin, end) in ordered.items()]
    imports = ", ".join(f"`{name}` {found['alone_s'][name]:.1f} s" for name in LIBRARIES)
    text = (
        f"# Start-up\n\n{found['about']}\n\n{table(['part', 'from (s)', 'to (s)'], rows)}\n"
        f"Importing a library alone, in turns with the starts: {imports}. The page is there after "
        f"{found['page_against_gradio']:.2f} times what the import of `gradio` alone takes, and can answer after "
        f"{found['answers_against_both']:.2f} times what both take one after the other.\n\n"
        f"`fieldguide --help` takes {found['alone_s']['help']:.2f} s.\n"
    )
    sys.stdout.write(text)
    if options.report:
        write_with_figures(options.report, text, found)
        draw(ordered, "seconds after the command", options.report.with_suffix(".png"))


if __name__ == "__main__":
    main()
