"""Write the descriptions of some installed packages into a folder: real texts that this project did not write.

    python evaluation/foreign_texts.py FOLDER

The questions in `foreign-questions.jsonl` are about them. They show whether the search was fitted to the guides. The packages
come with the development environment, in the versions that `constraints.txt` names.
"""

import argparse
import sys
from importlib.metadata import metadata
from pathlib import Path

PACKAGES = (
    "tqdm",
    "diskcache",
    "bcrypt",
    "sortedcontainers",
    "python-dotenv",
    "psutil",
    "orjson",
    "mmh3",
    "semantic-version",
    "annotated-types",
    "h11",
    "threadpoolctl",
    "charset-normalizer",
    "typer",
    "regex",
)


def main() -> None:
    """Write one Markdown file a package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        text = str(metadata(package).json["description"])
        (folder / f"{package.replace('-', '_')}.md").write_text(text, encoding="utf-8")
    sys.stdout.write(f"Written: {len(PACKAGES)} texts in {folder}\n")


if __name__ == "__main__":
    main()
