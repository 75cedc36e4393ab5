"""A guide cut by counting words, and three questions whose facts a cut can tear apart. No model is needed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

GUIDE = "generative-model-families.md"


@dataclass(frozen=True, slots=True)
class Fact:
    """A question, and the words that must stand in one passage for it to be answered."""

    question: str
    needs: tuple[str, ...]


FACTS = (
    Fact("Who introduced GANs, and when?", ("adversarial networks (GANs) were introduced", "2014", "Goodfellow")),
    Fact("What does the discriminator of a GAN do?", ("generative adversarial network (GAN)", "discriminator", "separate")),
    Fact(
        "Which parts does a VAE pair, and what is between them?",
        ("pairs an encoder", "probability distribution", "decoder of the VAE"),
    ),
)


def cut(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    """Passages of `size` words, each beginning `overlap` words before the last one ended; from and to, in characters."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    step = max(1, size - min(overlap, size // 2))
    cuts = []
    for first in range(0, len(words), step):
        last = min(first + size, len(words)) - 1
        cuts.append((words[first][0], words[last][1]))
        if last == len(words) - 1:
            break
    return cuts


def is_whole(text: str, cuts: Sequence[tuple[int, int]], fact: Fact) -> bool:
    """Whether one passage holds all that the question needs."""
    return any(all(need in " ".join(text[start:end].split()) for need in fact.needs) for start, end in cuts)
