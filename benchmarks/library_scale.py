"""What a collection of own documents costs: 10,000 real small documents ingested, and 500,000 passages searched.

    python benchmarks/library_scale.py [--documents 10000] [--passages 100000 500000] [--folder WORK] [--report OUT.md]

The documents are what a Debian system has: manual pages, as `groff` prints them, and the texts of /usr/share/doc. They are
ingested as any folder is; memory is that of this process and its children together, four times a second. Beyond what was
ingested, passages are generated: words drawn as often as the real ones have them, and vectors of real passages, disturbed.
Questions are sentences out of the documents. What is done stands in the work folder, so an interrupted run goes on.
"""

import argparse
import gzip
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from steps import time_calls

from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.ingest import IngestReport, ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.projection import DIMENSIONS, fit, reduce
from fieldguide.sentences import split_sentences
from fieldguide.settings import resolve_settings
from fieldguide.types import Chunk, FloatMatrix, FloatVector

NAME = "system"
QUESTIONS = 100
AT_ONCE = 2000  # passages that are generated and stored together
KNOWN = 2000  # real passages that vectors are made from
SMALL, LARGE = 300, 4000  # bytes of a text
MANUAL, DOCUMENTATION = Path("/usr/share/man"), Path("/usr/share/doc")
Figures = dict[str, Any]


# The documents


def write_texts(folder: Path, count: int) -> Figures:
    """Write so many real documents into the folder: package documentation, then manual pages, the smallest first."""
    written: Counter[str] = Counter()
    for origin, name, text in texts():
        if sum(written.values()) == count:
            break
        path = folder / origin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        written[origin] += 1
        tell(f"{sum(written.values()):,} of {count:,} documents prepared")
    return dict(written)


def texts() -> Iterator[tuple[str, str, bytes]]:
    """Where a document comes from, its name, and its content."""
    for path in sorted(DOCUMENTATION.rglob("*")):
        known = path.suffix in (".txt", ".md", ".rst", ".html") or path.name in ("README", "NEWS", "AUTHORS", "TODO", "FAQ")
        if known and path.is_file() and not path.is_symlink() and SMALL <= path.stat().st_size <= LARGE:
            yield "documentation", path.relative_to(DOCUMENTATION).as_posix(), path.read_bytes()
    pages = [path for path in MANUAL.glob("man*/*.gz") if not path.is_symlink()]
    # Those of one large package after all others.
    for path in sorted(pages, key=lambda p: (p.name.startswith("gcloud"), p.stat().st_size, p.name)):
        source = gzip.decompress(path.read_bytes())
        if path.stat().st_size >= 200 and not source.startswith(b".so "):
            printed = subprocess.run(
                ["groff", "-mandoc", "-Tutf8", "-P-cbou", "-rLL=100n"], input=source, capture_output=True, check=False
            ).stdout
            if SMALL <= len(printed) <= LARGE:
                yield (
                    ("manual pages of gcloud" if path.name.startswith("gcloud") else "manual pages"),
                    f"{path.name[:-3]}.txt",
                    printed,
                )


# Ingest


class Memory:
    """The most that this process and its children hold in memory, as long as the `with` lasts."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._end = threading.Event()
        self.now = self.most = self._measured()

    def __enter__(self) -> "Memory":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.25):
            self.now = self._measured()
            self.most = max(self.most, self.now)

    def _measured(self) -> float:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        return total / 1e6


def measure_ingest(collection: Collection, embedder: Embedder, folder: Path) -> Figures:
    """Ingest the folder; gives the curve of its cost."""
    curve: list[list[float]] = []
    files = list(find_files([str(folder)]))

    def note(report: IngestReport) -> None:
        tell(f"{report.done:,} of {report.files:,} files, {report.passages:,} passages, {memory.now:,.0f} MB")
        if not curve or report.done - curve[-1][0] >= report.files / 50 or report.done == report.files:
            curve.append([report.done, report.passages, round(report.seconds, 2), round(memory.now)])

    before = Memory().now
    with Memory() as memory, LoaderPool() as pool, collection.writing(lambda: None):
        report = ingest(collection, files, embedder, pool, note)
    began = time.perf_counter()
    with LoaderPool() as pool, collection.writing(lambda: None):
        again = ingest(collection, files, embedder, pool, lambda _: None)
    return {
        "curve": curve,
        "seconds": report.seconds,
        "added": report.added,
        "skipped": Counter(re.sub("the same as .*", "the same as another file.", reason) for _, reason in report.skipped),
        "passages": report.passages,
        "tokens": sum(embedder.count_tokens(chunk.embedded_text) for chunk in collection.store.chunks()),
        "bytes": sum(document.size for document in collection.store.documents()),
        "memory_before_mb": before,
        "memory_most_mb": memory.most,
        "again": {"seconds": time.perf_counter() - began, "unchanged": again.unchanged},
    }


def measure_removal(collection: Collection) -> float:
    """Seconds to remove one document without a trace."""
    began = time.perf_counter()
    with collection.writing(lambda: None):
        collection.remove([collection.store.documents()[0].name])
    return time.perf_counter() - began


# More passages than can be embedded


class Generator:
    """Makes passages like those of a real collection."""

    def __init__(self, real: Collection, embedder: Embedder) -> None:
        ids = sorted(real.store.ids())[:KNOWN]
        chunks = real.store.chunks(ids)
        self.directions = real.store.directions
        self._tokens = list(real.store.token_vectors(ids).values())
        if self.directions.shape[1] > DIMENSIONS:  # too few passages to have fewer numbers by itself
            self.directions = fit(np.concatenate(self._tokens[:256]) @ self.directions.T)
            self._tokens = [reduce(tokens @ real.store.directions.T, self.directions) for tokens in self._tokens]
        self._vectors = list(real.store.stored_vectors(ids).values())
        self._ids = [embedder.token_ids(chunk.embedded_text) for chunk in chunks]
        counts = Counter(word for chunk in chunks for word in chunk.text.split())
        self._words, self._weights = list(counts), list(accumulate(counts.values()))
        self._lengths = [len(chunk.text.split()) for chunk in chunks]
        self._random = random.Random(0)
        self._noise: dict[int, FloatMatrix] = {}  # by width

    def passages(self, first: int, count: int) -> tuple[list[Chunk], list[FloatVector], list[FloatMatrix], list[list[int]]]:
        """Passages with these numbers, and their vectors."""
        like = [self._random.randrange(len(self._ids)) for _ in range(count)]
        chunks = []
        for number, known in enumerate(like, first):
            text = " ".join(self._random.choices(self._words, cum_weights=self._weights, k=self._lengths[known]))
            name = f"generated-{number}.txt"
            chunk = Chunk("", name, name, ("Generated",), text, 0, len(text))
            chunks.append(replace(chunk, id=f"g-{number}-{chunk.content_id}"))  # an id says what the passage holds
        vectors = list(self._disturbed(np.stack([self._vectors[known] for known in like])))
        tokens = [self._disturbed(self._tokens[known]) for known in like]
        return chunks, vectors, tokens, [self._ids[known] for known in like]

    def _disturbed(self, vectors: FloatMatrix) -> FloatMatrix:
        count, width = vectors.shape
        if width not in self._noise:  # drawn once: drawing it anew would take longer than storing the passages
            self._noise[width] = np.random.default_rng(0).normal(0.0, 0.5 / np.sqrt(width), (20_000, width)).astype(np.float32)
        start = self._random.randrange(20_000 - count)
        moved = vectors + self._noise[width][start : start + count]
        return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), np.float32)


def grow(collection: Collection, generator: Generator, size: int) -> float:
    """Add generated passages up to this size; gives the seconds that it took."""
    began = time.perf_counter()
    with collection.writing(lambda: None):
        if not collection.store.count():
            collection.store.reduce_tokens(generator.directions)
        while (there := collection.store.count()) < size:
            collection.store.add_passages(*generator.passages(there, min(AT_ONCE, size - there)))
            collection.sync()
            tell(f"{collection.store.count():,} of {size:,} passages ({time.perf_counter() - began:,.0f} s)")
    return time.perf_counter() - began


def questions(collection: Collection) -> list[str]:
    """Sentences out of the documents."""
    found, chunks = [], collection.store.chunks()
    for chunk in random.Random(1).sample(chunks, min(len(chunks), 5 * QUESTIONS)):
        sentences = [" ".join(s.text.split()) for s in split_sentences(chunk.text)]
        found += [sentence for sentence in sentences if 6 <= len(sentence.split()) <= 16][:1]
    return found[:QUESTIONS]


def measure_search(collection: Collection, embedder: Embedder, asked: Sequence[str]) -> Figures:
    """Milliseconds of a search and of its steps, in a process that does nothing else."""
    memory = psutil.Process().memory_info().rss
    began = time.perf_counter()
    collection.search(asked[0], 12, embedder)
    first = time.perf_counter() - began
    steps: dict[str, list[float]] = {}
    store, vectors = collection.store, collection.vectors
    for part, name in (
        (embedder, "embed"),
        (vectors, "nearest"),
        (store, "by_keywords"),
        (store, "token_vectors"),
        (vectors, "vectors"),
        (store, "chunks"),
    ):
        time_calls(part, name, steps)
    totals, computed = [], []
    for question in [*asked[:5], *asked]:  # the first ones warm up
        began, computed_before = time.perf_counter(), time.process_time()
        collection.search(question, 12, embedder)
        totals.append(1000 * (time.perf_counter() - began))
        computed.append(1000 * (time.process_time() - computed_before))
    totals = totals[5:]
    return {
        "passages": store.count(),
        "median_ms": median(totals),
        "worst_twentieth_ms": float(np.percentile(totals, 95)),
        "computed_ms": median(computed[5:]),
        "first_search_s": first,
        "steps_ms": {name: median(times[5:]) for name, times in steps.items()},
        "memory_mb": (psutil.Process().memory_info().rss - memory) / 1e6,
        "disk_mb": collection.size() / 1e6,
    }


# The report


def as_markdown(found: Figures) -> str:
    """The report."""
    made, searches = found["ingest"], found["searches"]
    origins = ", ".join(f"{count:,} {origin}" for origin, count in found["documents"].items())
    step = max(1, len(made["curve"]) // 10)
    points = made["curve"][::-step][::-1]  # from the end, which counts most
    curve = [[f"{files:,}", f"{passages:,}", f"{s:,.0f}", f"{mb:,}"] for files, passages, s, mb in points]
    names = list(searches[0]["steps_ms"])
    rows = [
        [f"{s['passages']:,}", f"{s['median_ms']:.0f}", f"{s['worst_twentieth_ms']:.0f}", f"{s['computed_ms']:.0f}"]
        + [f"{s['steps_ms'].get(name, 0.0):.1f}" for name in names]
        + [f"{s['memory_mb']:,.0f}", f"{1000 * s['memory_mb'] / s['passages']:.1f}"]
        + [f"{s['disk_mb']:,.0f}", f"{1000 * s['disk_mb'] / s['passages']:.1f}"]
        for s in searches
    ]
    head = ["passages", "search (ms)", "worst twentieth (ms)", "computing (ms)", *names]
    head += ["memory (MB)", "a passage (kB)", "disk (MB)", "a passage (kB)"]
    skipped = "; ".join(f"{count} ({reason})" for reason, count in made["skipped"].items()) or "none"
    return (
        f"# A library of own documents, and what it costs\n\n{found['about']}\n\n## Ingest\n\n"
        f"{origins}; {made['bytes'] / 1e6:.1f} MB of text. {made['added']:,} were added as {made['passages']:,} passages of "
        f"{made['tokens']:,} tokens in {made['seconds'] / 60:.1f} minutes: {made['added'] / made['seconds']:.1f} files and "
        f"{made['tokens'] / made['seconds']:,.0f} tokens a second. Skipped: {skipped}. This process and its children held at "
        f"most {made['memory_most_mb']:,.0f} MB in memory, {made['memory_before_mb']:,.0f} MB of them before the first file "
        f"(libraries, the embedder). A second ingest found all unchanged in {made['again']['seconds']:.1f} s. To remove one "
        f"document without a trace took {found['removal_s']:.1f} s.\n\n"
        f"![The curve]({found['picture']})\n\n{table(['files', 'passages', 'seconds', 'memory (MB)'], curve)}\n"
        f"## Search\n\nThe first row is what was ingested. The others are generated: {found['grown']}\n\n{table(head, rows)}\n"
        f"Steps are medians in milliseconds over {found['questions']} questions, each asked in a process that does nothing "
        "else; computing is the processor time of all threads. Memory is what opening and searching the collection adds to the "
        "process; the vectors for search by meaning make most of it.\n"
    )


def draw(found: Figures, path: Path) -> None:
    """The curve of the ingest as a picture."""
    from matplotlib.figure import Figure

    curve = np.array(found["ingest"]["curve"])
    figure = Figure(figsize=(6.4, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot(curve[:, 2], curve[:, 1], label="passages stored", color="#047857")
    axes.set(xlabel="seconds", ylabel="passages", ylim=(0, None))
    memory = axes.twinx()
    memory.plot(curve[:, 2], curve[:, 3], label="memory (MB)", color="#b45309", linewidth=1)
    memory.set(ylabel="memory of all processes (MB)", ylim=(0, 3000))
    figure.legend(loc="lower right", bbox_to_anchor=(0.86, 0.16), fontsize="small")
    figure.savefig(path, metadata={"Software": None})


_told = 0.0


def tell(text: str) -> None:
    """Say how far it is, now and then."""
    global _told
    if time.monotonic() - _told > 5:
        _told = time.monotonic()
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def once(path: Path, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever stands in the file
    """What stands in the file; made where there is none."""
    if not path.exists():
        content = json.dumps(make())
        path.write_text(content)
    return json.loads(path.read_text())


def main() -> None:
    """Ingest, grow, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--passages", type=int, nargs="*", default=[100_000, 500_000])
    parser.add_argument("--folder", type=Path, help="where to work, kept afterwards; else a temporary one")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--search-in", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp())).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(resolve_settings(), data_dir=folder / "data")
    embedder = Fieldguide(settings)._load_embedder(lambda _: None)
    library = Library(settings.data_dir)
    if options.search_in:
        asked = json.loads((folder / "questions.json").read_text())
        sys.stdout.write(json.dumps(measure_search(library.collection(options.search_in), embedder, asked)))
        return

    def searched(name: str) -> Figures:
        library.collection(name).store.purge()
        command = [sys.executable, __file__, "--folder", str(folder), "--search-in", name]
        return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    try:
        found: Figures = {"documents": once(folder / "texts.json", lambda: write_texts(folder / "texts", options.documents))}
        real = library.create(NAME, embedder)
        found["ingest"] = once(folder / "ingest.json", lambda: measure_ingest(real, embedder, folder / "texts"))
        asked = once(folder / "questions.json", lambda: questions(real))
        searches = [once(folder / "search.json", lambda: searched(NAME))]
        generator, grown = Generator(real, embedder), library.create("generated", embedder)
        minutes = 0.0
        for size in options.passages:
            minutes += once(folder / f"grow-{size}.json", partial(grow, grown, generator, size)) / 60
            searches.append(once(folder / f"search-{size}.json", lambda: searched("generated")))
        found["removal_s"] = once(folder / "removal.json", lambda: measure_removal(real))
        found |= {"searches": searches, "questions": len(asked)}
        found["grown"] = f"words as frequent as in real ones, vectors of real passages disturbed ({minutes:.0f} min)."
    finally:
        library.close()
        if not options.folder:
            shutil.rmtree(folder)
    found["about"] = f"{os.cpu_count()} cores ({platform.machine()}), {settings.threads} threads."
    found["picture"] = options.report.with_suffix(".png").name if options.report else "-"
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)
        draw(found, options.report.with_suffix(".png"))


if __name__ == "__main__":
    main()
