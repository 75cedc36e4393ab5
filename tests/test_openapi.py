"""The OpenAPI document tells the truth: its examples work, and whatever else it allows breaks nothing."""

import subprocess
import sys

import httpx
import pytest

from fakes import ScriptedModel
from fieldguide.interfaces.api import create_api
from serving import served

_ANSWERED = {"/v1/chat/completions": "choices", "/v1/embeddings": "data", "/api/search": "hits", "/api/ask": ""}


@pytest.fixture
def url(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    with served(create_api(fieldguide, "one")) as url:
        list(fieldguide.loading())
        yield url
    fieldguide.close()


def test_every_example_in_the_document_works(url):
    document = httpx.get(f"{url}openapi.json", timeout=60).json()
    forms, tried = document["components"]["schemas"], set()
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if not content:
            continue
        (example,) = forms[content["schema"]["$ref"].split("/")[-1]]["examples"]
        answered = httpx.post(url.rstrip("/") + path, json=example, timeout=60)
        assert answered.status_code == 200, answered.text
        assert _ANSWERED[path] in answered.text
        tried.add(path)
    assert tried == set(_ANSWERED)


def test_every_operation_says_what_it_does(url):
    for path, operations in httpx.get(f"{url}openapi.json", timeout=60).json()["paths"].items():
        for method, operation in operations.items():
            assert operation["description"].endswith("."), f"{method} {path}"


def test_nothing_that_the_document_allows_or_forbids_breaks_the_server(url, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{url}openapi.json"]
    command += ["--checks=not_a_server_error", "--mode=all", "--max-examples=8", "--seed=1", "--generation-database=none"]
    command += ["--phases=examples,coverage,fuzzing", "--request-timeout=600", "--continue-on-failure"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout  # it did ask
    assert "failed" not in run.stdout
