"""What was learnt for reading passages: what is read with it, and what is not (the tiny model)."""

import gguf
import numpy as np
import pytest

from fieldguide.generation import adapter as adapters
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, Message, PromptPart, WritingOptions
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import build_messages, build_messages_alone

pytestmark = pytest.mark.weights

HIVE = "Bees > Hive\nThe hive holds twenty thousand bees in summer, and one queen lays all of their eggs."
TOWER = "Lighthouses > Quillon\nMarta Jevons built the Quillon lighthouse in 1911; it is 37 metres tall."
TIDES = "Seas > Tides\nTides follow the Moon, and spring tides come when Sun and Moon pull in one line."
HOW_MANY = "How many bees does the hive hold?"
RULES = "You answer questions from passages of reference guides. " * 12
RANK, WIDTH, LAYERS = 2, 576, 30  # of the tiny model: 576 wide


def prompt(model, passages=(HIVE, TOWER), question=HOW_MANY):
    shown = [PromptPart("passage", f"{passage}\n\n") for passage in passages]
    asked = Message("user", (*shown, PromptPart("question", f"Question: {question}")))
    return model.render([Message("system", (PromptPart("instructions", RULES),)), asked])


def write_adapter(path, strength, *, architecture="llama", width=WIDTH, **about):
    writer = gguf.GGUFWriter(path, architecture)
    about = {"general.type": "adapter", "adapter.type": "lora", **{f"fieldguide.{key}": text for key, text in about.items()}}
    for key, text in about.items():
        writer.add_string(key, text)
    writer.add_float32("adapter.lora.alpha", float(RANK))
    chance = np.random.default_rng(3)
    for layer in range(LAYERS):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", chance.normal(size=(RANK, width)).astype(np.float16))
        writer.add_tensor(f"{name}.lora_b", (strength * chance.normal(size=(width, RANK))).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def load(tiny_model_path, tmp_path, monkeypatch):
    """A model; `strength`: how much what was learnt changes, at random; None: nothing was learnt."""
    loaded = []
    package = tmp_path / "package"
    (package / "adapters").mkdir(parents=True)
    monkeypatch.setattr(adapters.resources, "files", lambda _: package)

    def load(strength=None, *, folder="cache", **changed):
        for old in (package / "adapters").iterdir():
            old.unlink()
        if strength is not None:
            plain = load(folder=None)
            beginning = plain._tokenized(prompt(plain)).beginning
            about = {"weights": plain.fingerprint, "beginning": adapters.digest(beginning), **changed}
            write_adapter(package / "adapters" / "tiny.gguf", strength, **about)
        cache = PassageCache(tmp_path / folder, 10**9) if folder else None
        loaded.append(LlamaModel(tiny_model_path, context_length=2048, threads=2, cache=cache))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


def answer(model, *passages, question=HOW_MANY):
    for _ in model.read(prompt(model, passages, question), Cancellation()):
        pass
    tokens = list(model.write(WritingOptions(16), Cancellation()))
    return "".join(token.text for token in tokens), [token.log_probability for token in tokens]


@pytest.mark.parametrize("folder", ["cache", None])
def test_an_adapter_of_nothing_changes_no_answer(load, folder):
    assert answer(load(0.0, folder=folder), HIVE, TOWER) == answer(load(folder=folder), HIVE, TOWER)


@pytest.mark.parametrize("folder", ["cache", None])
def test_what_was_learnt_changes_the_answer(load, folder):
    assert answer(load(0.1, folder=folder), HIVE, TOWER)[1] != answer(load(folder=folder), HIVE, TOWER)[1]


@pytest.mark.parametrize("folder", ["cache", None])
def test_what_was_asked_before_leaves_no_trace(load, folder):
    model, other = load(0.1, folder=folder), load(0.1, folder=folder and "b")
    answer(model, TIDES, HIVE, question="When do spring tides come?")
    answer(model, HIVE, TOWER)
    answer(model, HIVE, TOWER, TIDES)
    assert answer(model, HIVE, TOWER) == answer(other, HIVE, TOWER)


def test_an_answer_cancelled_behind_the_passages_leaves_the_next_one_whole(load):
    model = load(0.1)
    for _ in model.read(prompt(model, (HIVE, TOWER)), Cancellation()):
        if model._reader._adapted_from is not None:
            break
    assert model._reader._adapted_from is not None
    assert answer(model, TIDES, HIVE) == answer(load(0.1, folder="b"), TIDES, HIVE)


def test_passages_are_kept_as_the_weights_alone_read_them(load, tmp_path):
    plain, adapted = load(folder="plain"), load(0.1, folder="adapted")
    answer(plain, HIVE, TOWER)
    answer(adapted, TIDES)
    answer(adapted, HIVE, TOWER)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    assert len(kept) == 3
    assert kept.items() <= {path.name: path.read_bytes() for path in (tmp_path / "adapted").iterdir()}.items()


def test_a_prompt_without_passages_is_read_by_the_weights_alone(load):
    adapted, plain = load(0.1), load()
    for model in (adapted, plain):
        for _ in model.read(model.render(build_messages_alone(HOW_MANY)), Cancellation()):
            pass
    assert adapted.log_probability("The") == plain.log_probability("The")


@pytest.mark.parametrize(
    "other",
    [{"weights": "of others"}, {"beginning": "another"}, {"architecture": "qwen2"}, {"width": 2 * WIDTH}],
    ids=lambda other: next(iter(other)),
)
def test_what_was_learnt_for_something_else_is_left_alone(load, other):
    assert answer(load(0.1, **other), HIVE, TOWER) == answer(load(), HIVE, TOWER)


def test_a_damaged_adapter_is_left_alone(load, tiny_model_path, tmp_path):
    load(0.1)
    (tmp_path / "package" / "adapters" / "tiny.gguf").write_bytes(b"GGUF and nothing else")
    model = LlamaModel(tiny_model_path, context_length=1024, threads=1)
    learnt = model._reader._adapter
    model.close()
    assert learnt is None


def test_what_is_in_the_package_fits_the_default_weights_and_the_prompt_as_it_is(default_model_path):
    model = LlamaModel(default_model_path, context_length=1024, threads=2)
    learnt = model._reader._adapter
    beginning = model._tokenized(model.render(build_messages(HOW_MANY, [HIVE, TOWER]))).beginning
    model.close()
    assert learnt is not None
    assert learnt.fits(beginning)
