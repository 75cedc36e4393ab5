"""`fieldguide serve` in a process of its own, with stand-ins for the weights: what follows the first two arguments is for it.

python tests/serve_scripted.py WORDS SECONDS [--port ...]    every answer has so many words, each takes so long
"""

import sys
import time
from collections.abc import Iterator

from fakes import ScriptedModel, WordCountEmbedder
from fieldguide.generation.model import Cancellation, WritingOptions, WrittenToken
from fieldguide.interfaces import cli
from fieldguide.interfaces.serving.service import Service


class PacedModel(ScriptedModel):
    """Says the same each time, a word each so many seconds; keeps nothing of it."""

    def __init__(self, words: int, seconds: float) -> None:
        super().__init__()
        self._words, self._seconds = words, seconds

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        del self.prompts[:-1]
        self._replies = ["word " * self._words]
        for token in super().write(options, cancellation):
            time.sleep(self._seconds)
            yield token


if __name__ == "__main__":
    words, seconds, *arguments = sys.argv[1:]
    Service._load_embedder = lambda self, report: WordCountEmbedder()
    Service._load_model = lambda self, wanted=None: PacedModel(int(words), float(seconds))
    sys.argv = ["fieldguide", "serve", *arguments]
    cli.run()
