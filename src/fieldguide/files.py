"""Files that are written whole or not at all."""

import os
from pathlib import Path


def write_durably(path: Path, text: str) -> None:
    """Put a file in its place in one step, once it is on the disk: a kill at any moment leaves the old one or the new one."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)
