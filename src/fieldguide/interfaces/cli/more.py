"""The commands `fieldguide mcp`, `doctor`, `bundle` and `licences`: their names, arguments and help."""

from pathlib import Path
from typing import Annotated

import typer

from fieldguide.interfaces.cli import AsJson, DataDir, Model, app


@app.command("mcp")
def _mcp(model: Model = None, data_dir: DataDir = None) -> None:
    """Let agents search and ask (Model Context Protocol, over standard input and output)."""
    from fieldguide.interfaces.cli.agents import serve

    serve({"data_dir": data_dir, "model": model})


@app.command("doctor")
def _doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Also answer a whole question where no connection can leave this machine.")
    ] = False,
    as_json: AsJson = False,
    model: Model = None,
    data_dir: DataDir = None,
) -> None:
    """Check everything that answers need, and say what mends each finding; exit status 1 where there is one."""
    from fieldguide.interfaces.cli.doctor import examine

    examine({"data_dir": data_dir, "model": model}, offline=offline, as_json=as_json)


@app.command("bundle")
def _bundle(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    models: Annotated[
        list[str] | None, typer.Option("--weights", help="Which to take along; several times (default: default and embedder).")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make one folder from which Fieldguide is set up where there is no network."""
    from fieldguide.interfaces.cli.bundle import bundle

    bundle(folder, models or [], {"data_dir": data_dir})


@app.command("licences")
def _licences(as_json: AsJson = False) -> None:
    """Print the licences of all packages that are needed, and of the weights."""
    from fieldguide.interfaces.cli.bundle import licences

    licences(as_json=as_json)
