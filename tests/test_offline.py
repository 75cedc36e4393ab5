"""Nothing leaves this machine: asked with the network cut, and with every library's telemetry shown off."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fieldguide
from fieldguide import locations, offline

ROOT = Path(__file__).parent.parent

# Where namespaces are not allowed: a guard that every Python child inherits, which ends the process on any outside call.
SOCKET_GUARD = """
import os, socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(host, str) and not host.startswith(("127.", "/", "localhost", "::1")) and host:
            sys.stderr.write(f"OUTSIDE CALL: {event} {host}\\\\n")
            os._exit(97)
sys.addaudithook(refuse)
"""


def can_cut_the_network() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


@pytest.fixture
def without_network(tmp_path):
    """Run a command where no outside connection is possible."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FIELDGUIDE_MODELS": str(locations.default_models_folder())}
        if can_cut_the_network():
            command = ("unshare", "-rn", *command)
        else:
            (tmp_path / "sitecustomize.py").write_text(SOCKET_GUARD)
            environment["PYTHONPATH"] = str(tmp_path)
        return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)

    return run


def test_the_guard_catches_an_outside_call(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SOCKET_GUARD)
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert result.returncode == 97
    assert "OUTSIDE CALL" in result.stderr


def test_the_telemetry_of_every_library_is_off_once_the_package_is_imported():
    assert fieldguide.__version__
    for name, value in offline.QUIET_ENVIRONMENT.items():
        assert os.environ[name] == value


def test_libraries_agree_that_their_telemetry_is_off():
    code = (
        "import fieldguide, chromadb, huggingface_hub.constants as hub, gradio.analytics as analytics\n"
        "print(chromadb.Settings().anonymized_telemetry, hub.HF_HUB_OFFLINE, hub.HF_HUB_DISABLE_TELEMETRY,"
        " analytics.analytics_enabled())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True", "True", "False"]


@pytest.mark.weights
def test_a_real_question_is_answered_from_the_guides_with_the_network_cut(without_network, tmp_path, default_model_path):
    result = without_network(
        sys.executable,
        "-m",
        "fieldguide",
        "ask",
        "Who introduced GANs, and when?",
        "--json",
        "--data-dir",
        str(tmp_path / "data"),
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert not answer["abstained"]
    assert "Goodfellow" in answer["answer"]
    assert "2014" in answer["answer"]
    citation = answer["citations"][0]
    assert citation["document"].endswith(".md")
    assert citation["quote"] in citation["passage"]
    assert "Goodfellow" in citation["quote"]
