"""Proxies that the user's environment names: for what is asked of others, never for what runs on this machine."""

import os
import sys
from typing import TYPE_CHECKING, Any

from fieldguide.errors import ProxyError

if TYPE_CHECKING:
    import httpx

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def reach_directly(*hosts: str) -> None:
    """Ask this machine and these hosts without a proxy, whatever the environment (on macOS and Windows: the system) names.

    The package runs it when it is first imported; libraries read the environment themselves.
    """
    proxies = _proxies()
    left_out = [host.strip() for host in proxies.pop("no", "").split(",") if host.strip()]
    if proxies and "*" not in left_out:
        # Where the environment names any, the system's are no longer looked at.
        os.environ |= {f"{scheme}_proxy": address for scheme, address in proxies.items()}
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*left_out, *THIS_MACHINE, *hosts]))


def http_client(**options: Any) -> "httpx.Client":  # noqa: ANN401 - what httpx.Client takes
    """A client for HTTP; raises ProxyError when it cannot be made with the proxies that are set."""
    import httpx  # not for commands that ask nobody

    try:
        return httpx.Client(**options)
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:  # a proxy, or certificates, of the user's
        raise ProxyError(
            f"The proxy or the certificates that the environment names cannot be used: {error}.",
            "Correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or SSL_CERT_FILE, or unset it.",
        ) from error


def _proxies() -> dict[str, str]:
    """Proxies by scheme; under `no` the hosts that are left out."""
    if sys.platform in {"darwin", "win32"} or any(name.lower().endswith("_proxy") for name in os.environ):
        from urllib.request import getproxies  # takes a part of the time of `--help`

        return getproxies()
    return {}
