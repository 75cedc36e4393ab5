"""Real servers for the tests, each a process of its own, and a small proxy that spreads connections over several."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx

from browser import free_port

# The server as it is, but for one thing: buffers for AMX, whose code crashes where GCC 12 made it (see generation/llama.py).
_MODEL_SERVER = """
import llama_cpp.llama_cpp as library
defaults = library.llama_model_default_params
def without_extra_buffers():
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters
library.llama_model_default_params = without_extra_buffers
from llama_cpp.server.__main__ import main
main()
"""


@contextmanager
def process(*command: str, ready: str, seconds: float = 120, **options) -> Iterator[subprocess.Popen]:
    """A server, from the moment when `ready` answers; ended with the `with`."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options) as child:
        errors: list[str] = []
        threading.Thread(target=lambda: errors.extend(child.stderr), daemon=True).start()
        try:
            _wait_for(ready, child, errors, seconds)
            yield child
        finally:
            child.kill()


def _wait_for(url: str, child: subprocess.Popen, errors: list[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert child.poll() is None, "".join(errors)[-2000:]
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).is_success:
                return
        time.sleep(0.2)
    raise AssertionError(f"{url} did not come up: {''.join(errors)[-2000:]}")


@contextmanager
def chroma_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A real `chroma run`; gives its address."""
    url = f"http://127.0.0.1:{port or free_port()}"
    chroma = str(Path(sys.executable).with_name("chroma"))
    port_number = url.rpartition(":")[2]
    arguments = ("run", "--path", str(folder), "--host", "127.0.0.1", "--port", port_number)
    with process(chroma, *arguments, ready=f"{url}/api/v2/heartbeat"):
        yield url


@contextmanager
def model_server(weights: Path, *arguments: str) -> Iterator[str]:
    """A real llama_cpp.server; gives the address that OpenAI's clients want."""
    url = f"http://127.0.0.1:{free_port()}"
    command = (sys.executable, "-c", _MODEL_SERVER, "--model", str(weights), "--model_alias", "tiny", "--n_ctx", "2048")
    where = ("--host", "127.0.0.1", "--port", url.rpartition(":")[2])
    with process(*command, *where, *arguments, ready=f"{url}/v1/models"):
        yield f"{url}/v1"


class Proxy:
    """Takes connections in turn to its backends; passes over those that are gone, and breaks or refuses on demand."""

    def __init__(self, *backends: str) -> None:
        self.backends = [url.split("/")[2].split(":") for url in backends]
        self.refuse = 0  # so many requests get a 503
        self.cut_after: int | None = None  # bytes of the next answer
        self.taken: list[str] = []  # ports, by connection
        self._turn = count()
        self._clients: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections, the kept ones above all: what comes next comes anew."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._clients.clear()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._clients.append(client)
                threading.Thread(target=self._connected, args=(client,), daemon=True).start()

    def _connected(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            if self.refuse > 0:
                self.refuse -= 1
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            server = self._next()
            if server is None:
                client.sendall(b"HTTP/1.1 502 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with closing(server):
                threading.Thread(target=_copy, args=(client, server), daemon=True).start()
                limit, self.cut_after = self.cut_after, None
                _copy(server, client, limit)

    def _next(self) -> socket.socket | None:
        turn = next(self._turn)
        for offset in range(len(self.backends)):
            host, port = self.backends[(turn + offset) % len(self.backends)]
            with suppress(OSError):
                server = socket.create_connection((host, int(port)), 5)
                server.settimeout(None)
                self.taken.append(port)
                return server
        return None


def _copy(source: socket.socket, target: socket.socket, limit: int | None = None) -> None:
    copied = 0
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
            copied += len(data)
            if limit is not None and copied >= limit:
                break
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
