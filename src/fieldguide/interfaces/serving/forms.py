"""The forms of OpenAI's interface, as far as Fieldguide fills them in, and the field `fieldguide` that it adds."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CHAT_MODEL, EMBEDDER = "fieldguide", "all-minilm-l6-v2"
_MANY_MESSAGES, _MANY_TEXTS, _LONG = 200, 256, 20_000
EmbeddedText = Annotated[str, Field(max_length=_LONG)]
QUESTION = "Who introduced GANs, and when?"


class TextPart(BaseModel):
    """A stretch of text."""

    type: Literal["text"]
    text: Annotated[str, Field(max_length=_LONG)]


class ChatMessage(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=_LONG)] | Annotated[list[TextPart], Field(min_length=1, max_length=20)]

    @property
    def text(self) -> str:
        """What it says."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream carries besides the text."""

    include_usage: bool | None = None


class AskedFor(BaseModel):
    """What only Fieldguide knows: send it as `extra_body={"fieldguide": {...}}`."""

    collections: Annotated[list[str], Field(max_length=100, description="Which to search; all where none is named.")] = []


class ChatRequest(BaseModel):
    """A conversation whose last message is the question. Whatever else OpenAI knows is accepted and without effect."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"model": CHAT_MODEL, "messages": [{"role": "user", "content": QUESTION}]}]},
    )
    model: Annotated[str, Field(json_schema_extra={"enum": [CHAT_MODEL]})]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MANY_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    fieldguide: AskedFor = AskedFor()


class SentenceForm(BaseModel):
    """A sentence of the answer, and the numbers of what it rests on."""

    text: str
    verdict: Literal["supported", "weak", "unsupported"]
    markers: list[int]


class CitationForm(BaseModel):
    """The exact sentence of a document that supports one of the answer, and the passage around it."""

    marker: int
    document: str
    section: str
    quote: str
    passage: str


class Extension(BaseModel):
    """What the answer rests on, and how it came about."""

    trace_id: Annotated[str, Field(description="GET /api/traces/{trace_id} gives every event, for a while.")]
    abstained: Annotated[bool, Field(description="The documents do not answer the question; the content says so.")]
    sentences: list[SentenceForm]
    citations: list[CitationForm]
    note: str
    ignored: Annotated[list[str], Field(description="What was sent and had no effect.")]


class Usage(BaseModel):
    """Tokens; cached ones were read for an earlier question."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int] = {}


class AnswerMessage(BaseModel):
    """What is answered."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class Completion(BaseModel):
    """An answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    fieldguide: Extension


class EmbeddingRequest(BaseModel):
    """Texts to be turned into vectors."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"model": EMBEDDER, "input": QUESTION}]})
    model: Annotated[str, Field(json_schema_extra={"enum": [EMBEDDER]})]
    input: EmbeddedText | Annotated[list[EmbeddedText], Field(min_length=1, max_length=_MANY_TEXTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class EmbeddingForm(BaseModel):
    """One vector; as base64, little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Embeddings(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[EmbeddingForm]
    model: str
    usage: dict[str, int]


class ModelForm(BaseModel):
    """A model that can be named in a request."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "fieldguide"


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelForm]


class OpenAIProblem(BaseModel):
    """Why there is no answer; `error.message` says what, where, and what to do."""

    error: dict[str, Any]


class Problem(BaseModel):
    """Why there is no answer, and what to do."""

    error: str
    remedy: str
