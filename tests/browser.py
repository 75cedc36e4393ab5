"""A real Chromium for the tests, kept from calling anyone itself."""

import itertools
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


_PORTS = itertools.count(os.getpid())


def executable() -> str:
    """The browser on this machine; a test that needs it fails when there is none, never skips."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if Path(_MAC).exists():
        return _MAC
    return pytest.fail("no Chromium on this machine; see tests/install_browser.sh")


PATIENCE = 120_000  # milliseconds: what is waited for comes at once, but not on a machine that does three things besides


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium without a profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=[*QUIET, "--no-first-run", "--disable-quic"])
        yield browser
        browser.close()


def is_local(address: str) -> bool:
    """Whether a request for this stays on the machine."""
    return address.startswith(("data:", "blob:")) or urlsplit(address).hostname == "127.0.0.1"


@contextmanager
def _watched(browser: Browser, **options) -> Iterator[tuple[Page, list[str], list[str]]]:
    """An empty page that notes requests that would have left the machine, and errors; such a request fails the test."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: None if is_local(request.url) else outside.append(request.url))
    page.on("websocket", lambda opened: None if is_local(opened.url) else outside.append(opened.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page, outside, errors
    context.close()
    assert outside == []


def go_to_chat(page: Page, url: str) -> None:
    """Open the chat page, and wait until it has met its server."""
    page.goto(url)
    page.wait_for_selector("body.fg-started")


@contextmanager
def opened(browser: Browser, url: str, **options) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The chat page, with the requests that would have left the machine and the errors it reported."""
    with _watched(browser, **options) as (page, outside, errors):
        go_to_chat(page, url)
        yield page, outside, errors


def free_port() -> int:
    """A port that nobody listens on."""
    # Below the range that systems give out by themselves, and a stretch for each worker: nobody else takes it meanwhile.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw"))
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", 20_000 + 1000 * worker + port % 1000))
            return int(probe.getsockname()[1])
    return pytest.fail("no port is free")


def ask(page: Page, question: str) -> None:
    """Type a question and send it with Enter."""
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")


def answers(page: Page) -> list[str]:
    """What the page answered so far, the answer under way included."""
    return [" ".join(element.inner_text().split()) for element in page.query_selector_all(".fg-prose") if element.inner_text()]


def finished(page: Page, count: int = 1, timeout: float = PATIENCE) -> None:
    """Wait until so many questions were answered or given up, and none is under way."""
    exchanges = f"document.querySelectorAll('#conversation .fg-exchange').length == {count}"
    page.wait_for_function(f"{exchanges} && !document.querySelector('#under-way .fg-exchange')", timeout=timeout)


def says(page: Page, selector: str, text: str, timeout: float = PATIENCE) -> None:
    """Wait until this part of the page shows this text."""
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.innerText.includes(t)", arg=[selector, text], timeout=timeout
    )


@contextmanager
def learning(browser: Browser, url: str, query: str = "", **options) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The Learn page, with the requests that would have left the machine and the errors it reported."""
    with _watched(browser, **options) as (page, outside, errors):
        page.goto(f"{url}learn{query}")
        page.wait_for_selector("body.fl-started")
        yield page, outside, errors


def at_rest(page: Page) -> None:
    """Wait until nothing moves any more."""
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")


def serious(page: Page) -> list[str]:
    """What axe-core finds: rule, and the first element."""
    at_rest(page)
    found = Axe().run(page).response["violations"]
    return [f"{v['impact']} {v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]
