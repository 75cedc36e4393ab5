"""Write the descriptions of some installed packages into a folder: real texts that this project did not write.

    python evaluation/foreign_texts.py FOLDER

The questions in `foreign-questions.jsonl` are about them. They show whether the search was fitted to the guides. The packages
come with the development environment, in the versions that `constraints.txt` names.
"""

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
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        about = metadata(package)
        text = about.get_payload() or about["Description"]
        (folder / f"{package.replace('-', '_')}.md").write_text(str(text), encoding="utf-8")
    sys.stdout.write(f"Written: {len(PACKAGES)} texts in {folder}\n")


if __name__ == "__main__":
    main()
