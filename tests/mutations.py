"""Damaged copies of small real files: cut, flipped, repeated, swapped, filled with zeros; the same for the same seed."""

import random
from collections.abc import Iterator
from pathlib import Path

from sample_files import SAMPLES


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four damages done to the content."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if not data:
            break
        start = chance.randrange(len(data))
        end = min(len(data), start + chance.choice([1, 2, 8, 64, 512]))
        match chance.randrange(6):
            case 0:
                del data[start:]
            case 1:
                del data[start:end]
            case 2:
                data[start:end] = chance.randbytes(end - start)
            case 3:
                data[start:end] = bytes(end - start)
            case 4:
                data[start:start] = data[start:end] * chance.choice([1, 3, 200])
            case _:
                data[start] ^= 1 << chance.randrange(8)
    return bytes(data)


def damaged_files(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Write so many damaged files, one after the other, of every format in turn."""
    chance = random.Random(seed)
    names = sorted(SAMPLES)
    for number in range(count):
        name = names[number % len(names)]
        path = folder / f"{number:06}-{name}"
        path.write_bytes(mutated(SAMPLES[name][0], chance))
        yield path
