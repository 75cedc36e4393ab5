"""The commands `fieldguide documents ...` and `fieldguide collections ...`: their names, arguments and help."""

from pathlib import Path
from typing import Annotated

import typer

from fieldguide.interfaces.cli import AsJson, DataDir, collections, documents

Name = Annotated[str, typer.Argument(help="The collection.")]
OfCollection = Annotated[str | None, typer.Option("--collection", "-c", help="Where it is; needed where several have it.")]


@documents.command("list")
def _list(
    collection: Annotated[str | None, typer.Argument(help="Only those of this collection.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print your documents: passages, size, when they came and from where."""
    from fieldguide.interfaces.cli.documents import list_documents

    list_documents(collection, {"data_dir": data_dir}, as_json=as_json)


@documents.command("show")
def _show(
    name: Annotated[str, typer.Argument(help="The document, as the list names it.")],
    collection: OfCollection = None,
    passages: Annotated[bool, typer.Option("--passages", help="Its passages instead of its text.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print a document as it was understood: its text, or its passages."""
    from fieldguide.interfaces.cli.documents import show_document

    show_document(name, collection, {"data_dir": data_dir}, passages=passages, as_json=as_json)


@documents.command("remove")
def _remove(
    names: Annotated[list[str], typer.Argument(help="Documents, as the list names them.")],
    collection: OfCollection = None,
    data_dir: DataDir = None,
) -> None:
    """Forget documents and everything that was made of them; your files stay."""
    from fieldguide.interfaces.cli.documents import remove_documents

    remove_documents(names, collection, {"data_dir": data_dir})


@documents.command("export")
def _export(
    folder: Annotated[Path, typer.Argument(help="Where the texts go.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Which one.")] = "documents",
    data_dir: DataDir = None,
) -> None:
    """Write the text of every document of a collection into a folder."""
    from fieldguide.interfaces.cli.documents import export_documents

    export_documents(folder, collection, {"data_dir": data_dir})


@collections.command("list")
def _list_collections(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Print your collections and how large they are."""
    from fieldguide.interfaces.cli.documents import list_collections

    list_collections({"data_dir": data_dir}, as_json=as_json)


@collections.command("rename")
def _rename(name: Name, new: Annotated[str, typer.Argument(help="Its new name.")], data_dir: DataDir = None) -> None:
    """Give a collection another name."""
    from fieldguide.interfaces.cli.documents import rename_collection

    rename_collection(name, new, {"data_dir": data_dir})


@collections.command("delete")
def _delete(name: Name, data_dir: DataDir = None) -> None:
    """Forget a collection with everything that was made of its documents; your files stay."""
    from fieldguide.interfaces.cli.documents import delete_collection

    delete_collection(name, {"data_dir": data_dir})


@collections.command("reindex")
def _reindex(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Cut and embed all documents of a collection again."""
    from fieldguide.interfaces.cli.documents import reindex

    reindex(name, {"data_dir": data_dir}, as_json=as_json)


@collections.command("set")
def _set(
    name: Name,
    chunk_tokens: Annotated[int | None, typer.Option("--chunk-tokens", help="Size of passages, 40 to 240.")] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", help="In watched folders, only what matches ('': all).")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="In watched folders, nothing that matches ('': none).")
    ] = None,
    watch: Annotated[
        list[Path] | None, typer.Option("--watch", help="A folder whose files belong here, now and later.")
    ] = None,
    unwatch: Annotated[bool, typer.Option("--unwatch", help="Watch no folder any more.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Change how a collection is indexed, and which folders it watches."""
    from fieldguide.interfaces.cli.documents import change_collection

    if watch and unwatch:
        raise typer.BadParameter("--watch and --unwatch together say nothing: give one of them.")
    if not (watch or unwatch or include or exclude or chunk_tokens is not None):
        raise typer.BadParameter("There is nothing to change: give an option.")
    patterns = (include or (), exclude or ())
    change_collection(name, {"data_dir": data_dir}, patterns, chunk_tokens=chunk_tokens, watch=watch or (), unwatch=unwatch)
