"""Two copies of the app over one real Chroma server and one real model server, behind a proxy: one is killed mid-answer."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from browser import free_port
from fieldguide.events import Failed, Finished, Token
from fieldguide.interfaces.running import RunningFieldguide
from servers import Proxy, chroma_server, model_server, process

QUESTION = "How many eggs does the queen lay?"

pytestmark = pytest.mark.weights


@contextmanager
def copy_of_the_app(folder, guides, chroma, llm):
    """`fieldguide chat` with a data folder of its own; gives its address and its process."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIELDGUIDE_")}
    environment |= {"FIELDGUIDE_GUIDES_DIR": str(guides), "FIELDGUIDE_CHROMA_URL": chroma, "FIELDGUIDE_LLM_URL": llm}
    environment |= {"FIELDGUIDE_ANSWER_TOKENS": "200", "FIELDGUIDE_PASSAGES": "1"}
    command = (sys.executable, "-m", "fieldguide", "chat", "--no-browser", "--port", str(port), "--data-dir", str(folder))
    url = f"http://127.0.0.1:{port}"
    with process(*command, ready=f"{url}/api/status", env=environment) as child:
        yield url, child


def test_a_copy_killed_mid_answer_ends_in_a_clear_error_and_the_other_copy_answers_next(tmp_path, toy_folder, tiny_model_path):
    with (
        chroma_server(tmp_path / "chroma") as chroma,
        model_server(tiny_model_path) as llm,
        copy_of_the_app(tmp_path / "one", toy_folder, chroma, llm) as (first, one),
        copy_of_the_app(tmp_path / "two", toy_folder, chroma, llm) as (second, two),
    ):
        children: dict[str, subprocess.Popen] = {first.rpartition(":")[2]: one, second.rpartition(":")[2]: two}
        proxy = Proxy(first, second)
        for _ in children:  # both answer
            assert isinstance(list(RunningFieldguide(proxy.url).answer(QUESTION))[-1], Finished)
        assert set(proxy.taken) == set(children)

        events = []
        for event in RunningFieldguide(proxy.url).answer(QUESTION):
            if isinstance(event, Token) and not any(isinstance(earlier, Token) for earlier in events):
                children[proxy.taken[-1]].send_signal(signal.SIGKILL)
            events.append(event)
        assert isinstance(events[-1], Failed)
        assert "broke off the answer" in events[-1].message

        assert isinstance(list(RunningFieldguide(proxy.url).answer(QUESTION))[-1], Finished)
        assert [child.poll() is None for child in children.values()].count(True) == 1
        proxy.close()
