"""Fetch files from the Hugging Face hub (or a stand-in named by HF_ENDPOINT) over plain HTTP, resumed by range."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from fieldguide.errors import ProxyError, WeightsError
from fieldguide.proxies import http_client
from fieldguide.weights.catalog import HuggingFaceSource, WeightsFile

# A source that does not answer must give way to the next one soon; a slow but living download may take its time.
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


def fetch(
    source: HuggingFaceSource,
    files: Sequence[WeightsFile],
    workspace: Path,
    endpoint: str,
    advance: Callable[[int], None],
) -> Iterator[tuple[WeightsFile, Path]]:
    """Yield each file with its temporary path once it is whole; `advance` is told the bytes done so far.

    Raises WeightsError when the hub cannot be reached or refuses.
    """
    done_before = 0
    with _client() as client:
        for file in files:
            partial = workspace / (file.path.replace("/", "--") + ".part")
            url = f"{endpoint.rstrip('/')}/{source.repository}/resolve/{source.revision}/{file.path}"

            def advance_all(done: int, base: int = done_before) -> None:
                advance(base + done)

            try:
                _fetch_one(client, url, partial, file, advance_all)
            except httpx.HTTPStatusError as error:
                raise WeightsError(f"{url} answered {error.response.status_code}") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise WeightsError(f"cannot be reached ({error})") from error
            done_before += file.size
            yield file, partial


def _client() -> httpx.Client:
    try:
        return http_client(follow_redirects=True, timeout=_TIMEOUT)
    except ProxyError as error:
        raise WeightsError(f"cannot be reached ({error.message})") from error


def _fetch_one(client: httpx.Client, url: str, partial: Path, file: WeightsFile, advance: Callable[[int], None]) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have >= file.size:
        # A whole file, or one too long: the check that follows decides. Asking for an empty range would be an error.
        advance(have)
        return
    # Ranges count bytes as they are stored: nothing may be compressed on the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = have if resumed else 0
        with partial.open("ab" if resumed else "wb") as out:
            for block in response.iter_bytes(128 * 1024):
                out.write(block)
                done += len(block)
                advance(done)
