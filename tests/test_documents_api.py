"""Search, own documents and the state of the server over HTTP."""

import json

import httpx
import pytest

from fakes import ScriptedModel, SlowModel
from fieldguide.interfaces.api import create_api
from serving import served

FACT = "The Farrow beacon was lit by Ida Brandt in 1874."


@pytest.fixture
def service(fieldguide_with):
    service = fieldguide_with(SlowModel(["Bees live in hives."]))
    yield service
    service.close()


@pytest.fixture
def api(service):
    with served(create_api(service, "one")) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def add(api, name: str, content: bytes, collection: str = "coast") -> httpx.Response:
    return api.post("/api/documents", files={"file": (name, content)}, data={"collection": collection})


def test_a_search_gives_what_the_command_gives(api, service):
    found = api.post("/api/search", json={"question": "Who built the  Quillon lighthouse?", "limit": 2}).json()
    assert found["question"] == "Who built the Quillon lighthouse?"
    assert found["hits"] == [hit.as_object() for hit in service.search(found["question"], 2).hits]
    assert found["hits"][0]["document"] == "lighthouses.md"


def test_a_document_is_added_found_listed_changed_and_removed(api):
    added = add(api, "beacon.md", f"# Beacon\n\n{FACT}\n".encode())
    assert (added.status_code, added.json()["added"], added.json()["skipped"]) == (201, 1, [])
    found = api.post("/api/search", json={"question": "Who lit the Farrow beacon?", "collections": ["coast"]}).json()
    assert FACT in found["hits"][0]["text"]
    assert add(api, "beacon.md", f"# Beacon\n\n{FACT} It is red.\n".encode()).json()["changed"] == 1
    (listed,) = api.get("/api/documents").json()["documents"]
    assert (listed["collection"], listed["name"], listed["kind"]) == ("coast", "beacon.md", "markdown")
    assert "origin" not in listed  # where files stand is nobody's business
    where = {"collection": "coast", "name": "beacon.md"}
    assert api.delete("/api/documents", params=where).status_code == 204
    assert api.get("/api/documents", params={"collection": "coast"}).json() == {"documents": []}
    assert api.delete("/api/documents", params=where).status_code == 404


def test_what_cannot_be_read_is_told_with_its_reason(api):
    report = add(api, "zero.txt", b"").json()
    assert report["added"] == 0
    assert report["skipped"] == [["zero.txt", "It is empty (0 bytes)."]]


@pytest.mark.parametrize("name", ["..", "/", "a\u202eb.txt", "x" * 201])
def test_a_file_without_a_usable_name_is_refused(api, name):
    refused = add(api, name, b"text")
    assert refused.status_code == 422
    assert set(refused.json()) == {"error", "remedy"}


@pytest.mark.parametrize("name", ["../../up.txt", "/etc/up.txt", "..\\up.txt"])
def test_the_name_of_an_upload_is_never_a_path(api, tmp_path, name):
    assert add(api, name, FACT.encode()).status_code == 201
    assert [d["name"] for d in api.get("/api/documents").json()["documents"]] == ["up.txt"]
    assert all("collections" in path.parts for path in tmp_path.rglob("up.txt"))


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/api/search", {"question": "bees", "collections": ["none"]}, 404),
        ("POST", "/api/search", {"question": " "}, 422),
        ("POST", "/api/search", {"question": "bees", "limit": 0}, 422),
        ("POST", "/api/search", {"\ud800": 1}, 422),
        ("GET", "/api/documents?collection=none", None, 404),
        ("GET", "/api/nothing", None, 404),
        ("PUT", "/api/search", {}, 405),
    ],
)
def test_what_cannot_be_done_is_one_line_and_what_to_do(api, method, path, content, status):
    refused = api.request(method, path, content=json.dumps(content), headers={"content-type": "application/json"})
    assert refused.status_code == status
    assert set(refused.json()) == {"error", "remedy"}
    assert "\n" not in refused.json()["error"]


def test_a_collection_cannot_be_called_like_a_path(api):
    refused = add(api, "a.txt", b"text", "../up")
    assert refused.status_code == 422
    assert "cannot be a collection's name" in refused.json()["error"]


def test_the_server_says_when_it_is_ready_and_when_it_ends(api, service):
    assert api.get("/healthz").json() == {"status": "ok"}
    assert (api.get("/readyz").status_code, api.get("/readyz").json()["status"]) == (503, "loading")
    list(service.loading())
    assert (api.get("/readyz").status_code, api.get("/readyz").json()["status"]) == (200, "ready")
    service.end(0)
    assert (api.get("/readyz").status_code, api.get("/readyz").json()["status"]) == (503, "ending")
    assert api.get("/healthz").status_code == 200


def test_what_was_answered_is_counted(api, service):
    list(service.loading())
    for question in ("Where do bees live?", "Xylophone zebra?", ""):
        api.post("/api/ask", json={"question": question})
    counted = dict(line.rsplit(" ", 1) for line in api.get("/metrics").text.splitlines() if line[0] != "#")
    assert counted['fieldguide_questions_total{outcome="answered"}'] == "1.0"
    assert counted['fieldguide_questions_total{outcome="refused"}'] == "1.0"
    assert counted['fieldguide_questions_total{outcome="question"}'] == "1.0"
    assert counted["fieldguide_answer_seconds_count"] == "2.0"
    assert counted['fieldguide_tokens_total{kind="written"}'] == "4.0"
    assert counted["fieldguide_queue_length"] == "0.0"
    assert float(counted["process_resident_memory_bytes"]) > 1e6


def test_the_counters_of_two_services_are_not_mixed(fieldguide_with):
    one, other = fieldguide_with(ScriptedModel()), fieldguide_with(ScriptedModel())
    list(one.answer(""))
    assert b'outcome="question"} 1.0' in one.metrics.text()
    assert b'outcome="question"' not in other.metrics.text()
