"""The data folder's form, as a number in its file `version`, and the steps that lead from an older form to this one.

The number is raised when something that users cannot make again (conversations, collections, settings) changes its form.
What can be made again (the guides' index, the passage cache) carries versions of its own, and is made again.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fieldguide.errors import DataFolderError
from fieldguide.files import write_durably
from fieldguide.locks import exclusive

VERSION_FILE = "version"
# Step n leads from form n to form n + 1. A step may be cut short by a kill and is then taken again: it must bear that.
MIGRATIONS: tuple[Callable[[Path], None], ...] = ()


def newest_form() -> int:
    """The form that this program reads and writes."""
    return 1 + len(MIGRATIONS)


def form_of(folder: Path) -> int:
    """The form of a data folder; raises DataFolderError when that cannot be told. Folders without a version have form 1."""
    path = folder / VERSION_FILE
    try:
        form = int(path.read_text(encoding="ascii"))
        if form < 1:
            raise ValueError
        return form
    except (FileNotFoundError, NotADirectoryError):
        return 1  # new, or made before there were versions: nothing has changed its form since
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror or error}.", "Choose another --data-dir.") from error
    except ValueError as error:
        remedy = f"If this version of Fieldguide used the folder last, write the number {newest_form()} into it."
        raise DataFolderError(f"{path} is damaged: it holds no number above 0.", remedy) from error


def prepare(folder: Path) -> None:
    """Bring a data folder to this program's form; raises DataFolderError where it is newer, or cannot be brought there."""
    form = form_of(folder)
    _refuse_newer(folder, form)
    if form == newest_form():
        with suppress(OSError):  # whoever writes there next tells what is wrong
            if not (folder / VERSION_FILE).exists():
                folder.mkdir(parents=True, exist_ok=True)
                write_durably(folder / VERSION_FILE, f"{form}\n")
        return
    try:
        with exclusive(folder / "version.lock", lambda: None):
            for number in range(form_of(folder), newest_form()):  # another process may have taken some meanwhile
                MIGRATIONS[number - 1](folder)
                write_durably(folder / VERSION_FILE, f"{number + 1}\n")
    except OSError as error:
        message = f"The data folder {folder} cannot be brought to its new form: {error.strerror or error}."
        raise DataFolderError(message, "Mend that and start again: it goes on where it stopped.") from error


def _refuse_newer(folder: Path, form: int) -> None:
    if form > newest_form():
        raise DataFolderError(
            f"The data folder {folder} was written by a newer Fieldguide (form {form}; this one knows up to {newest_form()}).",
            "Bring Fieldguide up to date, or choose another folder with --data-dir.",
        )
