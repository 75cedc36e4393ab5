"""A whole question where no connection can leave this machine: in a network namespace, else under a guard of sockets.

This module is also the program that runs in there: `python -m fieldguide.interfaces.doctor.alone ask ...`.
"""

import errno
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fieldguide.errors import FieldguideError
from fieldguide.interfaces.doctor.checks import Finding
from fieldguide.settings import Settings

QUESTION = "Who introduced GANs, and when?"
_OUTSIDE = ("192.0.2.1", 80)  # an address that belongs to nobody
_ENDED_BY_GUARD = 97
_NAMESPACE = ("unshare", "-rn")
# Every Python child inherits it. What native code does by itself it cannot see: the namespace is the better proof.
_GUARD = f"""
import os, socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(host, str) and host.startswith(("127.", "localhost", "::1")):
            raise ConnectionRefusedError("a Fieldguide that runs here could answer, and is not guarded")
        if isinstance(host, str) and host and not host.startswith(("/", "\\0")):
            sys.stderr.write(f"outside call: {{event}} {{host}}\\n")
            os._exit({_ENDED_BY_GUARD})
sys.addaudithook(refuse)
"""


def prove_offline(settings: Settings) -> Finding:
    """Ask a question with the network cut and say what came of it."""
    about = "offline"
    if settings.chroma_url or settings.llm_url:
        message = "With chroma_url or llm_url, questions leave this process: there is nothing to prove."
        return Finding(about, False, message, "Unset them for this check.")
    with tempfile.TemporaryDirectory() as guard:
        in_namespace = can_cut_the_network()
        (Path(guard) / "sitecustomize.py").write_text(_GUARD, encoding="utf-8")
        environment = {**os.environ, **_as_environment(settings)}
        if not in_namespace:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [guard, os.environ.get("PYTHONPATH", "")]))
        program = (*_NAMESPACE, sys.executable, "-m", __name__) if in_namespace else (sys.executable, "-m", "fieldguide")
        command = (*program, "ask", QUESTION, "--json")
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    how = (
        "in a network namespace with loopback only"
        if in_namespace
        else "under a guard of Python's sockets (no namespaces here)"
    )
    try:
        answer = json.loads(done.stdout)["answer"]
    except (ValueError, KeyError):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        remedy = "Fetch what is missing with: fieldguide models pull"
        return Finding(about, False, f"No answer {how}; the last line was: {said}", remedy)
    return Finding(about, True, f"a question was answered {how}: {answer}")


def can_cut_the_network() -> bool:
    """Whether a process may be given a network of its own, with nothing in it."""
    if not shutil.which(_NAMESPACE[0]):
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _as_environment(settings: Settings) -> dict[str, str]:
    given = {"DATA_DIR": settings.data_dir, "MODELS": settings.models_dir, "GUIDES_DIR": settings.guides_dir}
    return {f"FIELDGUIDE_{name}": str(value) for name, value in given.items()} | {"FIELDGUIDE_MODEL": settings.model}


def _loopback_up() -> None:
    """What `ip link set lo up` does, where that program may be missing; outside a namespace it is up, and stays."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, suppress(OSError):
        flags = struct.unpack("16sh", fcntl.ioctl(control, 0x8913, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", flags | 1))


def _require_no_way_out() -> None:
    """End unless an outside address is unreachable: a proof in a network that is open would be none."""
    try:
        socket.create_connection(_OUTSIDE, timeout=1).close()
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return
    raise FieldguideError("The network is not cut here.", "Run fieldguide doctor --offline, which cuts it.")


def main(arguments: Sequence[str]) -> None:
    """The command line of Fieldguide, with the network cut."""
    from fieldguide.interfaces.cli import main as fieldguide_main

    _loopback_up()
    _require_no_way_out()
    fieldguide_main(list(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
