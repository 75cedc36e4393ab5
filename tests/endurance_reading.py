"""The passage cache against cold readings, on the default weights: what is kept must change no word and no probability.

    python tests/endurance_reading.py [--rounds 25] [--report evaluation/reports/endurance-reading.md]

`make test` does the same with the tiny model.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from fieldguide import locations
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.weights.catalog import load_catalog
from test_reading import NOUNS, prompt, read, some_passages, write

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation" / "reports" / "endurance-reading.md")
    asked = parser.parse_args()
    weights = load_catalog(locations.catalog_file()).find("default").path(locations.default_models_folder())
    chance, alike, kept = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        warm, cold = (
            LlamaModel(weights, context_length=2048, threads=2, cache=PassageCache(Path(folder) / name, 10**9))
            for name in ("warm", "cold")
        )
        library = [passage for _ in range(4) for passage in some_passages(chance)]
        warm.warm(prompt(warm, library[::2]), Cancellation())
        for number in range(asked.rounds):
            wanted = chance.sample(library, chance.randint(1, 4))
            question = f"How many {chance.choice(NOUNS)}s does the {chance.choice(NOUNS)} hold?"
            cold._reader._cache.clear()
            cold._reader.forget_from(0)
            kept += sum(read(warm, wanted, question)[0].passages_from_cache)
            read(cold, wanted, question)
            same = write(warm) == write(cold)
            alike += same
            sys.stderr.write(f"{number + 1} of {asked.rounds}: {'the same' if same else 'NOT the same'}\n")
        warm.close()
        cold.close()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    asked.report.write_text(
        "# The passage cache against cold readings\n\n"
        f"Commit {commit}, default weights. Made by `python tests/endurance_reading.py --rounds {asked.rounds}`.\n\n"
        f"{asked.rounds} questions over invented passages, {kept} of which came from the cache: in {alike} the words and all\n"
        "their probabilities were exactly those of a cold reading.\n"
    )
    sys.stdout.write(asked.report.read_text())
    assert alike == asked.rounds


if __name__ == "__main__":
    main()
