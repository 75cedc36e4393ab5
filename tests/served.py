"""A page in a process of its own, to be killed: `python served.py DATA GUIDES PORT REPLY`. It prints `ready`."""

import subprocess
import sys
import time
from pathlib import Path

_HERE = Path(__file__).parent


def start_page(data: Path, guides: Path, port: int, reply: str) -> "subprocess.Popen[str]":
    """Start it and wait until it answers."""
    command = [sys.executable, str(_HERE / "served.py"), str(data), str(guides), str(port), reply]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def main(data: str, guides: str, port: str, reply: str) -> None:
    from fakes import SlowModel, WordCountEmbedder
    from fieldguide.interfaces.api import create_api
    from fieldguide.interfaces.serving.service import Service
    from fieldguide.interfaces.web.app import create_app, launch
    from fieldguide.settings import resolve_settings

    fieldguide = Service(resolve_settings({"data_dir": Path(data), "guides_dir": Path(guides)}, {}))
    fieldguide._load_embedder = lambda report: WordCountEmbedder()
    fieldguide._load_model = lambda: SlowModel([reply])
    list(fieldguide.loading())
    launch(create_app(fieldguide), "127.0.0.1", int(port), create_api(fieldguide, str(time.time_ns())))
    print("ready", flush=True)  # noqa: T201
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
