"""The `fieldguide` command. Heavy libraries are imported inside the commands that need them, so `--help` is instant."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

import fieldguide
from fieldguide.errors import FieldguideError, unforeseen
from fieldguide.memory import is_short_of_memory

app = typer.Typer(
    name="fieldguide",
    help=(
        "Ask questions of guides to AI models. "
        "Everything runs on this machine; answers carry citations that code has checked.\n\n"
        'Without a command, the chat page opens in your browser. Try: fieldguide ask "Who introduced GANs, and when?"'
    ),
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COLLECTION = "documents"  # `indexing.library.DEFAULT_COLLECTION`, which would be slow to import
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder for index and caches (default: .fieldguide in a checkout, else your data folder)."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="default, fast, tiny, or the path of a GGUF file."),
]
Collections = Annotated[
    list[str] | None,
    typer.Option("--collection", "-c", help="Search only this collection; may be given several times (default: all)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, everything else on standard error.")]


@app.callback(invoke_without_command=True)
def _default(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"fieldguide {fieldguide.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from fieldguide.interfaces.cli.chat import chat

        chat({})


Port = Annotated[int | None, typer.Option("--port", help="Port of the page (default: 7860).")]


@app.command("chat")
def _chat(
    port: Port = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
    model: Model = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the chat page on this machine and open it."""
    from fieldguide.interfaces.cli.chat import chat

    chat({"port": port, "model": model, "data_dir": data_dir}, browser=browser)


@app.command("serve")
def _serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all (default: 127.0.0.1, this machine).")
    ] = None,
    port: Port = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", help="A token a line; whoever asks from elsewhere needs one (FIELDGUIDE_TOKEN)."),
    ] = None,
    model: Model = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the page and the interfaces for programs, to others, too; docs/serve.md says how."""
    from fieldguide.interfaces.cli.chat import chat

    flags = {"host": host, "port": port, "token_file": token_file, "model": model, "data_dir": data_dir}
    chat(flags, browser=False)


@app.command("ask")
def _ask(
    question: Annotated[
        str | None, typer.Argument(help="The question; - reads it from standard input; none starts a conversation.")
    ] = None,
    as_json: AsJson = False,
    explain: Annotated[bool, typer.Option("--explain", help="Also print everything that happened on the way.")] = False,
    model: Model = None,
    passages: Annotated[int | None, typer.Option("--passages", help="How many passages the model reads (default: 4).")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say which Fieldguide answers: one that runs, or a new one.")
    ] = False,
    collections: Collections = None,
    data_dir: DataDir = None,
) -> None:
    """Answer a question from the guides and your own documents, with numbered sources."""
    from fieldguide.interfaces.cli.ask import ask

    flags = {"data_dir": data_dir, "model": model, "passages": passages}
    ask(question, flags, as_json=as_json, explain=explain, verbose=verbose, collections=collections or ())


@app.command("search")
def _search(
    question: Annotated[str, typer.Argument(help="What to look for; - reads it from standard input.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=60, help="How many passages to print.")] = 8,
    as_json: AsJson = False,
    collections: Collections = None,
    data_dir: DataDir = None,
) -> None:
    """Print the passages that fit a question best, without a language model."""
    from fieldguide.interfaces.cli.library import search

    search(question, limit, {"data_dir": data_dir}, as_json=as_json, collections=collections or ())


@app.command("ingest")
def _ingest(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Files, folders and patterns; without any, the guides.")
    ] = None,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where they go; made on first use.")] = _COLLECTION,
    include: Annotated[
        list[str] | None, typer.Option("--include", help="In folders, only what matches, such as *.pdf.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="In folders, nothing that matches.")] = None,
    chunk_tokens: Annotated[
        int | None, typer.Option("--chunk-tokens", help="Size of passages in a new collection, 40 to 240 (default: 200).")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed every passage of the guides again.")] = False,
    warm: Annotated[
        bool, typer.Option("--warm", help="Also let the model read the guides (minutes), so that answers start at once.")
    ] = False,
    model: Model = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Add your own documents; without a path, bring the guides and all collections up to date."""
    flags = {"data_dir": data_dir, "model": model}
    if not paths and (include or exclude or chunk_tokens is not None or collection != _COLLECTION):
        raise typer.BadParameter("--collection, --include, --exclude and --chunk-tokens are about paths: name some.")
    if paths:
        if rebuild or warm:
            raise typer.BadParameter("--rebuild and --warm are about the guides: leave out the paths.")
        from fieldguide.interfaces.cli.documents import ingest_paths

        patterns = (include or (), exclude or ())
        ingest_paths(paths, collection, flags, patterns, chunk_tokens=chunk_tokens, as_json=as_json)
        return
    from fieldguide.interfaces.cli.library import ingest

    ingest(flags, rebuild=rebuild, warm=warm, as_json=as_json)


@app.command("eval")
def _eval(
    questions: Annotated[Path, typer.Option("--questions", help="File of questions, one JSON object a line.")],
    answers: Annotated[Path, typer.Option("--answers", help="Where each answer is kept; an earlier run goes on.")],
    report: Annotated[Path, typer.Option("--report", help="Where the report goes (Markdown; JSON beside it).")],
    mode: Annotated[str, typer.Option("--mode", help="end-to-end, oracle, no-retrieval or retrieval.")] = "end-to-end",
    split: Annotated[str | None, typer.Option("--split", help="dev or test (default: all questions).")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask only the first so many.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="JSON report of an earlier run to compare with.")] = None,
    model: Model = None,
    passages: Annotated[int | None, typer.Option("--passages", help="How many passages the model reads.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a file of questions and report how good the answers are, and which stage lost each miss."""
    from fieldguide.interfaces.cli.evaluate import evaluate

    flags = {"data_dir": data_dir, "model": model, "passages": passages}
    evaluate(questions, mode, answers, report, flags, split=split, limit=limit, against=against)


@app.command("record")
def _record(
    names: Annotated[list[str] | None, typer.Argument(help="Which runs (default: all).")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where they go (default: where the page reads them).")] = None,
    data_dir: DataDir = None,
) -> None:
    """Record the runs that the Learn page shows: real questions, real weights, minutes."""
    from fieldguide.interfaces.cli.library import record

    record(names or [], folder, {"data_dir": data_dir})


documents = typer.Typer(help="Your own documents: list, show, remove, export.", no_args_is_help=True)
app.add_typer(documents, name="documents")
collections = typer.Typer(help="Named collections of your own documents.", no_args_is_help=True)
app.add_typer(collections, name="collections")
models = typer.Typer(help="The weights: what there is, fetching, checking.", no_args_is_help=True)
app.add_typer(models, name="models")
ModelNames = Annotated[list[str] | None, typer.Argument(help="default, fast, tiny or embedder (default: what answers need).")]


@models.command("list")
def _models_list(as_json: AsJson = False) -> None:
    """Print what the catalogue knows and what is on this machine."""
    from fieldguide.interfaces.cli.models import print_list

    print_list(as_json=as_json)


@models.command("pull")
def _models_pull(names: ModelNames = None) -> None:
    """Fetch weights, going on where an earlier try stopped, and check them."""
    from fieldguide.interfaces.cli.models import pull_named

    pull_named(names)


@models.command("verify")
def _models_verify(names: ModelNames = None) -> None:
    """Check size and SHA-256 of weights on this machine (default: of all that are here)."""
    from fieldguide.interfaces.cli.models import verify_named

    verify_named(names)


@models.command("path")
def _models_path(name: Annotated[str, typer.Argument(help="default, fast, tiny or embedder.")] = "default") -> None:
    """Print where weights stand on this machine."""
    from fieldguide.interfaces.cli.models import print_path

    print_path(name)


from fieldguide.interfaces.cli import more, own  # noqa: E402, F401 - they add more commands


def run() -> None:
    """The `fieldguide` command of the shell: `main`, and then an end at once.

    Weights and libraries may still be loading in the background when a command ends, after an error above all. Taking
    native libraries down under their own threads crashes; whatever is being written survives a kill by design.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or a pipe that cannot show every letter of a document
            stream.reconfigure(errors="backslashreplace")
    status: int | str | None = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = 130
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        pass  # the reader of our output has gone
    except OSError as error:
        status = status or _unwritten(error)
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def main(arguments: list[str] | None = None) -> Any:  # noqa: ANN401 - whatever typer returns, which is nothing
    """Run the command line; expected failures become one line on standard error and exit status 1."""
    try:
        return app(arguments)
    except BrokenPipeError:
        sys.exit(1)  # the reader of our output has gone
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            sys.exit(_unwritten(error))
        if not isinstance(error, FieldguideError) and not is_short_of_memory(error):
            raise  # a mistake of ours: whoever reports it needs to see where
        sys.stderr.write(f"fieldguide: {unforeseen(error)}\n")
        sys.exit(1)


def _unwritten(error: OSError) -> int:
    sys.stderr.write(f"fieldguide: The output cannot be written: {error.strerror}. Make room, or write it elsewhere.\n")
    return 1
