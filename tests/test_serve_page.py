"""docs/serve.md tells the truth: its commands are run against a real server."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from fakes import ScriptedModel
from fieldguide.answering.waiting_line import LIMIT, LIMIT_PER_CLIENT
from fieldguide.interfaces.api import PATHS, create_api
from fieldguide.interfaces.serving.access import WRONG_TOKENS_PER_MINUTE, Keys
from fieldguide.interfaces.serving.guards import guards
from fieldguide.interfaces.serving.limits import MAX_REQUEST_BYTES
from fieldguide.interfaces.serving.service import TRACES_KEPT
from serving import served

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
CURLS = [line for _, block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl ")]
TOKEN = "7d1f0b6c2a9e4d58"


@pytest.fixture
def url(fieldguide_with):
    service = fieldguide_with(ScriptedModel())
    (service.settings.guides_dir / "gans.md").write_text(
        "# GANs\n\n## Who introduced GANs?\n\nIan Goodfellow introduced GANs in 2014.\n"
    )
    service._load_model = lambda: ScriptedModel(["Ian Goodfellow introduced GANs in 2014."] * 9)
    api = create_api(service, "one")
    with served(Starlette(middleware=guards(service, Keys((("anna", TOKEN),)), api, PATHS))) as url:
        yield url
    service.close()


def here(text: str, url: str) -> str:
    return text.replace("http://127.0.0.1:7860/", url).replace("TOKEN", TOKEN)


def test_every_curl_command_works_in_its_order(url, tmp_path):
    (tmp_path / "notes.md").write_text("# Notes\n\nThe audit found nothing.\n")
    told = []
    for command in CURLS:
        words = [*shlex.split(here(command, url)), "--silent", "--show-error", "--fail-with-body"]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        told.append(result.stdout)
    assert len(told) == 6
    assert "Goodfellow" in told[0]
    assert '"event": "Finished"' in told[1]
    assert '"hits"' in told[2]
    assert '"added":1' in told[3]
    assert "notes.md" in told[4]
    assert httpx.get(f"{url}api/documents", headers={"authorization": f"Bearer {TOKEN}"}, timeout=60).json() == {
        "documents": []
    }


def test_the_python_example_works(url, capsys):
    (code,) = [block for language, block in BLOCKS if language == "python"]
    exec(here(code, url), {})
    out = capsys.readouterr().out
    assert "Ian Goodfellow introduced GANs in 2014." in out
    assert "1 gans.md" in out


def test_every_interface_is_on_the_page(url):
    paths = httpx.get(f"{url}openapi.json", headers={"authorization": f"Bearer {TOKEN}"}, timeout=60).json()["paths"]
    for path in paths:
        assert path.split("{")[0].rstrip("/") in PAGE or path == "/api/status", path


def test_the_limits_on_the_page_are_the_real_ones(settings):
    assert f"{LIMIT}, of each client {LIMIT_PER_CLIENT}" in PAGE
    assert f"| {settings.requests_per_minute} (" in PAGE
    assert f"from an address | {WRONG_TOKENS_PER_MINUTE} |" in PAGE
    assert f"{MAX_REQUEST_BYTES:,}; 100,000,000" in PAGE
    assert f"for {settings.shutdown_seconds} seconds" in PAGE
    assert f"last {TRACES_KEPT} completions" in PAGE
