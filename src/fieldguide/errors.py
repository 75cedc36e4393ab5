"""What can go wrong in ways a user can mend. A message says what and where; the remedy says what to do."""

from fieldguide.memory import is_short_of_memory

MAKE_ROOM = "Make room, or choose another folder with --data-dir."
NEEDS_MEMORY = "Close other programs, raise the limit that is set (ulimit -v), or choose a smaller model: --model fast"


class FieldguideError(Exception):
    """An expected failure, shown to the user as one line and never as a traceback."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class QuestionError(FieldguideError):
    """The question cannot be asked as it stands: empty, or far too long."""


class SettingsError(FieldguideError):
    """A setting has no such name or not such a value."""


class DataFolderError(FieldguideError):
    """The data folder is of another version of Fieldguide, or cannot be brought to this one."""


class RemoteError(FieldguideError):
    """A server that the settings name cannot be reached, or refuses."""


class ProxyError(FieldguideError):
    """No connection can be made with the proxy or the certificates that the environment names."""


class WeightsError(FieldguideError):
    """A weights file is missing, damaged, or cannot be fetched."""


class DocumentError(FieldguideError):
    """A document cannot be read."""


class SearchIndexError(FieldguideError):
    """The index is missing, damaged, or cannot be written."""


class VectorsDamaged(SearchIndexError):
    """Chroma's files cannot be used; they can be made again from what else is known."""


class CollectionError(FieldguideError):
    """There is no collection of that name, or it cannot be had like that."""


class GenerationError(FieldguideError):
    """The language model could not read or write."""


class EvaluationError(FieldguideError):
    """A questions file or an earlier run cannot be used."""


class ConversationError(FieldguideError):
    """A kept or exported conversation cannot be read or written."""


class TraceError(FieldguideError):
    """A recorded run cannot be read."""


class BundleError(FieldguideError):
    """A folder to take along cannot be made."""


class Cancelled(FieldguideError):
    """The caller asked for a stop, and the computation has ended."""

    def __init__(self) -> None:
        super().__init__("Stopped.", "Nothing was lost; ask again when you like.")


class QueueFullError(FieldguideError):
    """More questions wait than may; `seconds` is about how long it takes until there is room."""

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = max(1.0, seconds)
        super().__init__(message, f"Ask again in about {self.seconds:.0f} s.")


def unforeseen(error: BaseException) -> FieldguideError:
    """What users are told of a failure that nobody thought of; one that has its own words keeps them."""
    if isinstance(error, FieldguideError):
        return error
    if is_short_of_memory(error):
        return FieldguideError("There is not enough memory.", NEEDS_MEMORY)
    return FieldguideError(f"Something broke inside Fieldguide ({type(error).__name__}: {error}).", "Please report it.")
