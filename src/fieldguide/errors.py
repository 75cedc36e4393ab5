"""What can go wrong in ways a user can mend. A message says what and where; the remedy says what to do."""


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


class WeightsError(FieldguideError):
    """A weights file is missing, damaged, or cannot be fetched."""


class DocumentError(FieldguideError):
    """A document cannot be read."""


class SearchIndexError(FieldguideError):
    """The index is missing, damaged, or cannot be written."""


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


class Cancelled(FieldguideError):
    """The caller asked for a stop, and the computation has ended."""

    def __init__(self) -> None:
        super().__init__("Stopped.", "Nothing was lost; ask again when you like.")
