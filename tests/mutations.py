"""Damaged copies of small real files: cut, flipped, repeated, swapped, filled with zeros; the same for the same seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sample_files import SAMPLES

_ROOT = Path(__file__).parents[1]


def seeds() -> dict[str, bytes]:
    """The files that are damaged, by name: of every format one made here and one that another program made."""
    others = [path for path in sorted((_ROOT / "tests" / "files").iterdir()) if path.name != "README.md"]
    others += [_ROOT / "corpus" / "generative-model-families.md", _ROOT / "tests" / "browser.py"]
    return {name: content for name, (content, _) in SAMPLES.items()} | {path.name: path.read_bytes() for path in others}


KINDS = ("cut off", "cut out", "noise", "zeros", "repeated", "flipped bit")
LENGTHS = (1, 2, 8, 64, 512)
REPEATS = (1, 3, 200)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to a file, and where: `place` is a share of its length."""

    kind: str
    place: float
    length: int = 1
    repeats: int = 1
    noise: int = 0


def damaged(content: bytes, damages: Sequence[Damage]) -> bytes:
    """The content with these damages, one after the other."""
    data = bytearray(content)
    for damage in damages:
        if not data:
            break
        start = int(damage.place * len(data))
        end = min(len(data), start + damage.length)
        match damage.kind:
            case "cut off":
                del data[start:]
            case "cut out":
                del data[start:end]
            case "noise":
                data[start:end] = random.Random(damage.noise).randbytes(end - start)
            case "zeros":
                data[start:end] = bytes(end - start)
            case "repeated":
                data[start:start] = data[start:end] * damage.repeats
            case _:
                data[start] ^= 1 << damage.noise % 8
    return bytes(data)


def damaged_files(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Write so many damaged files, one after the other, of every format in turn: one to four damages each."""
    chance = random.Random(seed)
    originals = sorted(seeds().items())
    for number in range(count):
        name, content = originals[number % len(originals)]
        damages = [
            Damage(
                chance.choice(KINDS), chance.random(), chance.choice(LENGTHS), chance.choice(REPEATS), chance.randrange(2**16)
            )
            for _ in range(chance.randint(1, 4))
        ]
        path = folder / f"{number:06}-{name}"
        path.write_bytes(damaged(content, damages))
        yield path
