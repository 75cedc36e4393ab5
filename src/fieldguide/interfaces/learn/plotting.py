"""The browser's half of Plotly, served from the package on this machine; the page asks for it when there is a plot to see."""

from importlib.resources import as_file, files

import plotly
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

ADDRESS = f"/learn/plotly-{plotly.__version__}.js"


def plotly_script(_: Request) -> FileResponse:
    """The script; it never changes under its address."""
    with as_file(files(plotly) / "package_data" / "plotly.min.js") as path:
        return FileResponse(path, media_type="text/javascript", headers={"cache-control": "max-age=31536000, immutable"})


def routes() -> list[Route]:
    """The script's address, to be served beside the page."""
    return [Route(ADDRESS, plotly_script)]
