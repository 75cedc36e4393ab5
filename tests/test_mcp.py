"""Agents ask through the official client: in this process, over standard input and output, and over HTTP."""

import asyncio
import os
import sys

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters

from fakes import ScriptedModel, SlowModel
from fieldguide.answering.abstain import REFUSAL
from fieldguide.interfaces.mcp_server import create_server, over_http
from fieldguide.interfaces.running import announced
from fieldguide.settings import resolve_settings
from test_api import served

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"
BEES = "fieldguide://documents/guides/bees.md"


@pytest.fixture
def fieldguide(fieldguide_with):
    made = fieldguide_with(ScriptedModel([GOOD] * 9))
    yield made
    made.close()


def talk(server, conversation, **options):
    """Run a conversation with a server as a client."""

    async def run():
        async with Client(server, **options) as client:
            return await conversation(client)

    return asyncio.run(run())


def call(server, tool, **arguments):
    return talk(server, lambda client: client.call_tool(tool, arguments))


def server_of(fieldguide):
    return create_server(fieldguide, lambda: fieldguide)


def test_there_are_three_tools_and_they_explain_themselves(fieldguide):
    tools = talk(server_of(fieldguide), lambda client: client.list_tools()).tools
    assert {tool.name for tool in tools} == {"search_guides", "ask_guides", "list_documents"}
    assert all(tool.description and tool.annotations.read_only_hint for tool in tools)


def test_a_search_finds_the_passage_and_where_to_read_on(fieldguide):
    found = call(server_of(fieldguide), "search_guides", question="Who built the Quillon lighthouse?", limit=2)
    passages = found.structured_content["passages"]
    assert len(passages) == 2
    assert "Marta Jevons" in passages[0]["text"]
    assert passages[0]["uri"] == "fieldguide://documents/guides/lighthouses.md"


def test_an_answer_carries_its_markers_and_their_sentences(fieldguide):
    answer = call(server_of(fieldguide), "ask_guides", question=QUESTION).structured_content
    assert answer["answer"] == f"{GOOD} [1]"
    assert answer["sources"][0] | {"section": ""} == {"marker": 1, "document": "bees.md", "section": "", "quote": GOOD}


def test_a_refusal_says_so_and_names_what_came_closest(fieldguide):
    answer = call(server_of(fieldguide), "ask_guides", question="Xylophone zebra?").structured_content
    assert (answer["abstained"], answer["answer"], answer["sources"]) == (True, REFUSAL, [])
    assert answer["closest"]


def test_every_document_is_listed_and_can_be_read_as_a_resource(fieldguide, toy_folder):
    async def conversation(client):
        listed = (await client.call_tool("list_documents", {})).structured_content["documents"]
        resources = (await client.list_resources()).resources
        (text,) = (await client.read_resource(BEES)).contents
        return listed, resources, text

    listed, resources, text = talk(server_of(fieldguide), conversation)
    assert {entry["uri"] for entry in listed} == {str(resource.uri) for resource in resources}
    assert {"collection": "guides", "name": "bees.md", "title": "Bees", "uri": BEES} in listed
    assert text.text == (toy_folder / "bees.md").read_text()


def test_own_documents_are_there_as_well_under_any_name(fieldguide, tmp_path):
    path = tmp_path / "a strange, näme & more.txt"
    path.write_text("The Brackwater clock strikes thirteen.")
    list(fieldguide.loading(with_model=False))
    fieldguide.own.add([str(path)], "town notes")

    async def conversation(client):
        found = await client.call_tool("search_guides", {"question": "Brackwater clock", "collections": ["town notes"]})
        (passage,) = found.structured_content["passages"]
        return passage, (await client.read_resource(passage["uri"])).contents[0].text

    passage, text = talk(server_of(fieldguide), conversation)
    assert (passage["collection"], passage["document"]) == ("town notes", path.name)
    assert "strikes thirteen" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("ask_guides", {"question": ""}, "at least 1 character"),
        ("ask_guides", {"question": "  "}, "The question is empty."),
        ("ask_guides", {"question": "why " * 600}, "at most 2000 characters"),
        ("ask_guides", {"question": QUESTION, "collections": ["none"]}, "There is no collection 'none'."),
        ("search_guides", {"question": "bees", "collections": ["none"]}, "There is no collection 'none'."),
        ("search_guides", {"question": "bees", "limit": 0}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_says_why(fieldguide, tool, arguments, said):
    answered = call(server_of(fieldguide), tool, **arguments)
    assert answered.is_error
    assert said in answered.content[0].text
    assert "Traceback" not in answered.content[0].text


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "none.md"])
def test_a_resource_that_is_no_document_is_not_found_and_no_path_is_opened(fieldguide, name):
    async def conversation(client):
        with pytest.raises(MCPError, match="There is no document"):
            await client.read_resource(f"fieldguide://documents/guides/{name}")

    talk(server_of(fieldguide), conversation)


def test_progress_is_told_while_an_answer_is_made(fieldguide):
    told = []

    async def note(progress, total, message):
        told.append(message)

    talk(
        server_of(fieldguide),
        lambda client: client.call_tool("ask_guides", {"question": QUESTION}, progress_callback=note),
    )
    assert any("Reading the passages" in message for message in told)


def test_a_call_given_up_stops_the_computation(fieldguide_with):
    class Watched(SlowModel):
        begun = stopped = False

        def write(self, options, cancellation):
            self.begun = True
            try:
                while not cancellation.is_cancelled:
                    yield from super().write(options, cancellation)
            finally:
                self.stopped = True

    model = Watched()
    made = fieldguide_with(model)
    list(made.loading())

    async def conversation(client):
        async def give_up(scope):
            while not model.begun:
                await asyncio.sleep(0.05)
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(give_up, group.cancel_scope)
            await client.call_tool("ask_guides", {"question": QUESTION})
        for _ in range(100):
            if model.stopped:
                break
            await asyncio.sleep(0.1)
        return group.cancel_scope.cancelled_caught

    assert talk(server_of(made), conversation)
    assert model.stopped
    made.close()


def test_over_http_the_same_tools_answer(fieldguide):
    with served(over_http(fieldguide)) as url:
        answer = call(f"{url}mcp", "ask_guides", question=QUESTION).structured_content
    assert answer["answer"] == f"{GOOD} [1]"


def test_the_page_serves_agents_under_mcp(serve_with_agents):
    url = serve_with_agents(ScriptedModel([GOOD]))
    answer = call(f"{url}mcp", "ask_guides", question=QUESTION).structured_content
    assert answer["answer"] == f"{GOOD} [1]"


@pytest.fixture
def serve_with_agents(fieldguide_with):
    from browser import free_port
    from fieldguide.interfaces.api import create_api
    from fieldguide.interfaces.web.app import create_app, launch

    served_pages = []

    def serve(model) -> str:
        made = fieldguide_with(model)
        page = create_app(made)
        served_pages.append((page, made))
        return launch(page, "127.0.0.1", free_port(), create_api(made, "test"), agents=over_http(made))

    yield serve
    for page, made in served_pages:
        page.close()
        made.close()


def as_child(settings) -> StdioServerParameters:
    """`fieldguide mcp` as an agent starts it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIELDGUIDE_")}
    environment |= {"FIELDGUIDE_GUIDES_DIR": str(settings.guides_dir), "FIELDGUIDE_MODELS": str(settings.models_dir)}
    arguments = ["-m", "fieldguide", "mcp", "--data-dir", str(settings.data_dir), "--model", "tiny"]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


@pytest.mark.weights
def test_fieldguide_mcp_speaks_over_standard_input_and_output(settings, tiny_model_path, embedder_folder):
    async def conversation(client):
        documents = await client.call_tool("list_documents", {})
        found = await client.call_tool("search_guides", {"question": "Who built the Quillon lighthouse?"})
        answer = await client.call_tool("ask_guides", {"question": QUESTION})
        return [result.structured_content for result in (documents, found, answer)]

    documents, found, answer = talk(as_child(settings), conversation)
    assert len(documents["documents"]) == 5
    assert "Marta Jevons" in found["passages"][0]["text"]
    assert answer["answer"]  # the tiny model's own words, or the refusal


def test_fieldguide_mcp_asks_the_fieldguide_that_runs(settings, fieldguide_with, monkeypatch):
    from fieldguide.interfaces.api import create_api

    made = fieldguide_with(ScriptedModel([GOOD]))
    same = resolve_settings({"data_dir": settings.data_dir, "guides_dir": settings.guides_dir, "model": "tiny"}, {})
    made.settings = same
    with (
        served(create_api(made, "one")) as url,
        announced(same, url, "one"),
    ):
        answer = call(as_child(settings), "ask_guides", question=QUESTION).structured_content
    assert answer["answer"] == f"{GOOD} [1]"  # the scripted model's words: the child loaded none
    made.close()
