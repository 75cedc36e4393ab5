"""Nothing leaves this machine: asked with the network cut, and with every library's telemetry shown off."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fieldguide
from browser import is_local
from fieldguide import locations, offline

ROOT = Path(__file__).parent.parent

# A guard that every Python child inherits, which ends the process on any outside call: without namespaces it is all
# there is, and elsewhere it shows that nothing even tries.
SOCKET_GUARD = """
import os, socket, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(host, str) and not host.startswith(("127.", "/", "localhost", "::1", "0.0.0.0")) and host:
            sys.stderr.write(f"OUTSIDE CALL: {event} {host}\\n")
            os._exit(97)
sys.addaudithook(refuse)
"""


def can_cut_the_network() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


def guarded(folder: Path) -> dict[str, str]:
    """An environment in which no Python process can call outside."""
    (folder / "sitecustomize.py").write_text(SOCKET_GUARD)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FIELDGUIDE_MODELS": str(locations.default_models_folder())}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data folder that is new, for all tests here."""
    return tmp_path_factory.mktemp("offline")


@pytest.fixture
def without_network(tmp_path):
    """Run a command where no outside connection is possible."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        cut = ("unshare", "-rn") if can_cut_the_network() else ()
        return subprocess.run([*cut, *command], capture_output=True, text=True, timeout=1800, env=guarded(tmp_path))

    return run


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), 1)",
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
    ],
)
def test_the_guard_catches_an_outside_call_of_a_child(tmp_path, call):
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {f'import socket; {call}'!r}]))"
    result = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, env=guarded(tmp_path))
    assert result.returncode == 97
    assert "OUTSIDE CALL" in result.stderr


def test_the_telemetry_of_every_library_is_off_once_the_package_is_imported():
    assert fieldguide.__version__
    for name, value in offline.QUIET_ENVIRONMENT.items():
        assert os.environ[name] == value


EAGER = {
    "ANONYMIZED_TELEMETRY": "True",
    "CHROMA_OTEL_GRANULARITY": "all",
    "CHROMA_OTEL_COLLECTION_ENDPOINT": "http://192.0.2.1",
    "GRADIO_ANALYTICS_ENABLED": "True",
    "HF_HUB_DISABLE_TELEMETRY": "0",
    "HF_HUB_OFFLINE": "0",
    "OTEL_SDK_DISABLED": "false",
    "DO_NOT_TRACK": "0",
}
SHOWN_OFF = """
import sys, tempfile
from pathlib import Path
import fieldguide
early = {"chromadb", "gradio", "huggingface_hub", "opentelemetry", "transformers", "sentence_transformers"} & set(sys.modules)
assert not early, early

from fieldguide.retrieval.vector_store import ChromaVectorStore
store = ChromaVectorStore(Path(tempfile.mkdtemp()))
settings = store._client.get_settings()
import chromadb.telemetry.opentelemetry as chroma_traces
assert settings.anonymized_telemetry is False
assert (chroma_traces.tracer, settings.chroma_otel_granularity) == (None, "none")

from opentelemetry.sdk.trace import TracerProvider
assert type(TracerProvider().get_tracer("any")).__name__ == "NoOpTracer"

import threading
from huggingface_hub import constants
from huggingface_hub.utils import send_telemetry
send_telemetry("any")
assert constants.HF_HUB_OFFLINE and constants.HF_HUB_DISABLE_TELEMETRY
assert not [thread for thread in threading.enumerate() if "telemetry" in thread.name or "_telemetry" in repr(thread)]

from transformers.utils import hub
assert hub.is_offline_mode()

import gradio.analytics
assert not gradio.analytics.analytics_enabled()
print("all off")
"""


def test_every_library_agrees_that_its_telemetry_is_off_whatever_the_user_has_set(tmp_path):
    environment = {**guarded(tmp_path), **EAGER}
    result = subprocess.run([sys.executable, "-c", SHOWN_OFF], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout) == (0, "all off\n"), result.stderr


@pytest.mark.weights
def test_a_real_question_is_answered_from_the_guides_with_the_network_cut(without_network, data, default_model_path):
    result = without_network(
        sys.executable,
        "-m",
        "fieldguide",
        "ask",
        "Who introduced GANs, and when?",
        "--json",
        "--data-dir",
        str(data),
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


@pytest.mark.weights
@pytest.mark.browser
def test_a_whole_conversation_on_the_page_asks_for_nothing_from_elsewhere_with_the_network_cut(
    without_network, data, default_model_path
):
    script = str(ROOT / "tests" / "offline_conversation.py")
    result = without_network(sys.executable, script, str(data), *([] if can_cut_the_network() else ["--guarded"]))
    assert result.returncode == 0, result.stderr
    assert "OUTSIDE CALL" not in result.stderr
    came = json.loads(result.stdout)
    assert "Goodfellow" in came["answers"][0]
    assert len(came["answers"]) == 2
    assert "generative-model-families.md" in came["cited"]
    assert {is_local(address) for address in came["requests"]} == {True}
    for part in ("learn", "library", "theme.css"):
        assert any(part in address for address in came["requests"]), part
    assert set(came["hosts"]) <= {"127.0.0.1"}, came["hosts"]
