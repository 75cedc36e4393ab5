"""What Gradio would do by default and the page does not: hand things out, or forget them."""

import httpx
import pytest

from browser import opened
from fakes import ScriptedModel
from fieldguide.interfaces.web.app import create_app


@pytest.fixture
def page(fieldguide_with):
    return create_app(fieldguide_with(ScriptedModel()))


def test_no_handler_of_the_page_is_an_endpoint_for_others(page, serve):
    assert page.fns
    assert {function.api_visibility for function in page.fns.values()} == {"private"}
    info = httpx.get(f"{serve(ScriptedModel())}gradio_api/info").json()
    assert (info["named_endpoints"], info["unnamed_endpoints"]) == ({}, {})


def test_no_part_of_the_page_takes_what_a_model_says_for_markup(page):
    kinds = {block.get_block_name() for block in page.blocks.values()}
    assert "html" in kinds  # our own, where all is escaped
    assert not kinds & {"chatbot", "markdown", "htmlold"}


def test_what_the_browser_keeps_is_found_again_after_a_restart(page, fieldguide_with):
    again = create_app(fieldguide_with(ScriptedModel()))
    kept = [
        [(block.storage_key, block.secret) for block in app.blocks.values() if block.get_block_name() == "browserstate"]
        for app in (page, again)
    ]
    assert len(kept[0]) == 2
    assert kept[0] == kept[1]


@pytest.mark.browser
def test_nothing_can_be_shared_and_no_runs_are_kept(browser, serve):
    url = serve(ScriptedModel())
    config = httpx.get(f"{url}config", timeout=60).json()
    assert config["run_history"] is False
    assert config["analytics_enabled"] is False
    with opened(browser, url) as (tab, _, _):
        tab.wait_for_timeout(300)
        assert "share" not in tab.content().split("<body")[1].split("<script")[0].lower()
        assert tab.evaluate("getComputedStyle(document.querySelector('.fg-welcome')).fontFamily").startswith("system-ui")
        assert tab.evaluate("[...document.fonts].length") == 0
