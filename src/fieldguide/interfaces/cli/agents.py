"""`fieldguide mcp`: answers for agents, over standard input and output."""

from collections.abc import Mapping
from typing import Any

from fieldguide.interfaces.running import find_running
from fieldguide.settings import resolve_settings


def serve(flags: Mapping[str, Any]) -> None:
    """Serve until the input ends. A Fieldguide that runs is asked; without one, the first question loads our own."""
    settings = resolve_settings(flags)
    from fieldguide.assembly import Fieldguide
    from fieldguide.interfaces.mcp_server import create_server

    own = Fieldguide(settings)
    create_server(own, lambda: find_running(settings) or own).run("stdio")
    own.close()
