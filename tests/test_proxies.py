"""Proxies that the environment names: passed by on the way to this machine, and one clear line where they cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from browser import free_port
from fieldguide.errors import FieldguideError, ProxyError
from fieldguide.generation.remote import RemoteModel
from fieldguide.proxies import http_client
from fieldguide.weights.catalog import HuggingFaceSource, WeightsFile
from fieldguide.weights.hub import fetch

PROXIES_SEEN = """
import os, sys
import fieldguide
import httpx
from fieldguide import proxies
proxies.reach_directly(*sys.argv[1:])
proxied = {str(pattern.pattern) for pattern, transport in httpx.Client()._mounts.items() if transport}
direct = {str(pattern.pattern) for pattern, transport in httpx.Client()._mounts.items() if not transport}
print(sorted(proxied), sorted(direct))
"""


@pytest.mark.parametrize(
    ("set_by_user", "host", "proxied", "direct"),
    [
        ({}, "10.1.2.3", [], []),
        (
            {"HTTP_PROXY": "http://proxy.test:3128"},
            "",
            ["http://"],
            ["all://127.0.0.1", "all://[::1]", "all://localhost"],
        ),
        (
            {"https_proxy": "http://proxy.test:3128", "no_proxy": ".test, 127.0.0.1"},
            "10.1.2.3",
            ["https://"],
            ["all://*.test", "all://10.1.2.3", "all://127.0.0.1", "all://[::1]", "all://localhost"],
        ),
        ({"ALL_PROXY": "http://proxy.test:3128", "NO_PROXY": "*"}, "", [], []),
    ],
)
def test_this_machine_is_asked_without_a_proxy_and_all_others_as_the_user_has_set(set_by_user, host, proxied, direct):
    rest = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", PROXIES_SEEN, *([host] if host else [])]
    result = subprocess.run(command, capture_output=True, text=True, env={**rest, **set_by_user})
    assert result.stdout.strip() == f"{proxied} {direct}", result.stderr


@pytest.mark.parametrize(
    ("name", "address", "said"),
    [
        ("https_proxy", "foo://127.0.0.1:9", "Unknown scheme"),
        ("http_proxy", "http://proxy:port", "Invalid port"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "No such file"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_clear_line(monkeypatch, name, address, said):
    monkeypatch.setenv(name, address)
    with pytest.raises(ProxyError, match=f"cannot be used: .*{said}.*Correct HTTP_PROXY"):
        http_client()
    for make in (lambda: RemoteModel("http://127.0.0.1:9/v1", context_length=64), lambda: next(fetched())):
        with pytest.raises(FieldguideError, match="environment names cannot be used"):
            make()


def fetched():
    source = HuggingFaceSource("someone/some-model", revision="main")
    return fetch(source, [WeightsFile("a", 1, "0" * 64)], Path("/nowhere"), "http://127.0.0.1:9", lambda _: None)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "socks5h://127.0.0.1:9"])
def test_gradio_can_be_imported_where_a_socks_proxy_is_set(address):
    command = [sys.executable, "-c", "import fieldguide.interfaces.web"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "all_proxy": address})
    assert result.returncode == 0, result.stderr


def test_chat_says_which_variable_keeps_it_from_starting(tmp_path):
    command = [
        sys.executable,
        "-m",
        "fieldguide",
        "chat",
        "--no-browser",
        "--port",
        str(free_port()),
        "--data-dir",
        str(tmp_path),
    ]
    environment = {**os.environ, "all_proxy": "foo://127.0.0.1:9"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("fieldguide: The proxy or the certificates that the environment names cannot be used")
    assert len(result.stderr.splitlines()) == 1
