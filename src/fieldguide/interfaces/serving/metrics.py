"""What is counted, in Prometheus' own form."""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from fieldguide.events import Event, Failed, Finished

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.5, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)


class Metrics:
    """Counters of one process, in a registry of their own."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._outcomes = Counter("fieldguide_questions", "Questions by how they ended.", ["outcome"], registry=registry)
        self._tokens = Counter("fieldguide_tokens", "Tokens of the language model.", ["kind"], registry=registry)
        self._first = Histogram("fieldguide_first_token_seconds", "Until the first word.", registry=registry, buckets=_SECONDS)
        self._total = Histogram("fieldguide_answer_seconds", "Until the whole answer.", registry=registry, buckets=_SECONDS)
        self._refused = Counter("fieldguide_requests_refused", "Requests that were turned away.", ["status"], registry=registry)
        queue = Gauge("fieldguide_queue_length", "Questions in the line, the one being answered among them.", registry=registry)
        queue.set_function(waiting)

    def take(self, event: Event) -> None:
        """Count what this event ends."""
        if isinstance(event, Failed):
            self._outcomes.labels(event.reason).inc()
        elif isinstance(event, Finished):
            answer = event.answer
            self._outcomes.labels("refused" if answer.abstained else "answered").inc()
            self._tokens.labels("read").inc(answer.tokens.prompt - answer.tokens.reused)
            self._tokens.labels("reused").inc(answer.tokens.reused)
            self._tokens.labels("written").inc(answer.tokens.generated)
            self._total.observe(answer.timings.total_s)
            if answer.timings.first_token_s is not None:
                self._first.observe(answer.timings.first_token_s)

    def refused(self, status: int) -> None:
        """Count a request that was turned away."""
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """All of it, to be scraped."""
        return generate_latest(self._registry)
