"""A whole bundle, set up in an empty environment without a network, and a question answered there.

    python tests/bundle_in_full.py [--report evaluation/reports/bundle.md]

Minutes, and about 4 GB of disk. Ends with status 1 when no answer came.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
QUESTION = "Who introduced GANs, and when?"


def run_alone(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null", **environment}
    return subprocess.run(["unshare", "-rn", *command], capture_output=True, text=True, env=clean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("evaluation/reports/bundle.md"))
    asked = parser.parse_args()
    runs = ROOT / "runs"  # on the same disk weights are linked, not copied; and nothing there is ever committed
    runs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as name:
        folder = Path(name).absolute() / "bundle"
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "fieldguide", "ingest"], check=True)
        subprocess.run([sys.executable, "-m", "fieldguide", "bundle", str(folder)], check=True)
        made = time.monotonic() - began
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        wheels = len(list((folder / "wheels").iterdir()))
        began = time.monotonic()
        done = run_alone("sh", str(folder / "setup.sh"), PYTHON=sys.executable)
        assert done.returncode == 0, done.stderr
        set_up = time.monotonic() - began
        measure = (
            "import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
            "sys.stderr.write(done.stderr)\n"
            "print(done.stdout.strip())\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        began = time.monotonic()
        program = (str(folder / "fieldguide"), "ask", QUESTION, "--json")
        answered = run_alone(sys.executable, "-c", measure, *program)
        seconds = time.monotonic() - began
        assert answered.returncode == 0, answered.stderr
        line, kilobytes = answered.stdout.strip().splitlines()
        answer = json.loads(line)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# Bundle",
        "",
        f"Commit {commit}. `python tests/bundle_in_full.py` makes this report: a bundle, set up in an empty environment inside",
        "a network namespace without any connection, where it then answers a question.",
        "",
        "| | |",
        "|---|---|",
        f"| wheels | {wheels} |",
        f"| size of the folder | {size / 1e9:.1f} GB |",
        f"| made in | {made:.0f} s |",
        f"| set up in | {set_up:.0f} s |",
        f"| first question, all loading included | {seconds:.0f} s |",
        f"| most memory of the process that answered | {int(kilobytes) / 1e6:.1f} GB |",
        f"| question | {QUESTION} |",
        f"| answer | {re.sub('[|]', ' ', answer['answer'])} |",
    ]
    asked.report.write_text("\n".join(lines) + "\n")
    sys.stdout.write(asked.report.read_text())
    if answer["abstained"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
