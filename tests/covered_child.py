"""The child that reads files, telling the socket named by LINES_TO which lines of the loaders it has run."""

import json
import os
import socket
from pathlib import Path

import coverage

import fieldguide

LOADERS = Path(fieldguide.__file__).parent / "indexing" / "loading"


def main() -> None:
    measured = coverage.Coverage(data_file=None, config_file=False, include=[f"{LOADERS}/*"], messages=False)
    measured.start()
    from fieldguide.indexing.loading import child  # only now, so that the lines of its top are counted, too

    line, told, reply = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), set[tuple[str, int]](), child._reply

    def telling(path: Path) -> bytes:
        try:
            return reply(path)
        finally:
            data = measured.get_data()
            ran = {(Path(name).name, number) for name in data.measured_files() for number in data.lines(name) or ()}
            line.sendto(json.dumps(sorted(ran - told)).encode(), os.environ["LINES_TO"])
            told.update(ran)

    child._reply = telling
    child.main()


if __name__ == "__main__":
    main()
