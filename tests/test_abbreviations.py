"""What letters stand for: which questions ask it, what passages say of it, and which guesses fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import ScriptedModel
from fieldguide.answering.abbreviations import asked_for, fits_letters, spelled_out
from fieldguide.answering.abstain import REFUSAL
from fieldguide.answering.reader import AnswerOptions
from fieldguide.events import Finished, Withdrawn
from fieldguide.types import Chunk


def passage(text: str, number: int = 0) -> Chunk:
    return Chunk(f"c{number}", f"{number}.md", "Nets", ("Kinds",), text, 0, len(text))


def meanings(short: str, *texts: str) -> list[str]:
    sentences, _ = spelled_out(short, [passage(text, number) for number, text in enumerate(texts)])
    return [sentence.text for sentence in sentences]


@pytest.mark.parametrize(
    ("question", "short"),
    [
        ("What does VAE stand for?", "VAE"),
        ("what does vae stand for", "vae"),
        ("And what do the letters LSTM stand for?", "LSTM"),
        ("What is RAG short for?", "RAG"),
        ("What do LLMs stand for?", "LLM"),
        ("What’s the full form of LoRA?", "LoRA"),
        ("What does the abbreviation “GAN” mean?", "GAN"),
        ("VQ-VAE stands for what?", "VQ-VAE"),
        ("Spell out GPT-4V.", "GPT-4V"),
        ("What does it stand for?", ""),
        ("What does the o in GPT-4o stand for?", ""),
        ("What does VAE stand for, and who introduced it?", ""),
        ("What does temperature do?", ""),
        ("", ""),
    ],
)
def test_only_a_question_for_nothing_but_a_long_form_asks_for_it(question, short):
    assert asked_for(question) == short


@pytest.mark.parametrize(
    ("short", "text", "meaning"),
    [
        ("VAE", "A variational autoencoder (VAE) compresses.", "VAE stands for variational autoencoder."),
        ("vae", "Variational autoencoders (VAEs) compress.", "VAE stands for Variational autoencoder."),
        ("LoRA", "It is called Low-Rank Adaptation (LoRA).", "LoRA stands for Low-Rank Adaptation."),
        ("TTS", "It is **text-to-speech** (TTS, for short).", "TTS stands for text-to-speech."),
        ("ViT", "ViTs (vision transformers) came later.", "ViT stands for vision transformer."),
        (
            "RLHF",
            "Reinforcement learning from human feedback (RLHF)",
            "RLHF stands for Reinforcement learning from human feedback.",
        ),
        ("GRU", "LSTMs (1997) and gated recurrent units (GRUs) remember.", "GRU stands for gated recurrent unit."),
    ],
)
def test_the_words_before_the_bracket_are_the_long_form(short, text, meaning):
    assert meanings(short, text) == [meaning]


@pytest.mark.parametrize(
    "text",
    [
        "The model was released (VAE).",
        "VAE models are old.",
        "See the appendix (VAE 2) of any book.",
        "A VAE (2013) compresses.",
        "Variational. Autoencoders (VAE",
        "",
    ],
)
def test_where_no_words_fit_nothing_is_said(text):
    assert meanings("VAE", text) == []


def test_each_meaning_is_told_once_with_the_sentence_that_says_it():
    texts = ["Old words. Retrieval-augmented generation (RAG) looks first.", "Again: retrieval augmented generation (RAG).",
             "Lights are red, amber, green (RAG)."]  # fmt: skip
    sentences, citations = spelled_out("RAG", [passage(text, number) for number, text in enumerate(texts)])
    assert [s.text for s in sentences] == [
        "RAG stands for Retrieval-augmented generation.",
        "It also stands for red, amber, green.",
    ]
    assert [(c.marker, c.document, c.quote) for c in citations] == [
        (1, "0.md", "Retrieval-augmented generation (RAG) looks first."),
        (2, "2.md", texts[2]),
    ]
    assert [s.markers for s in sentences] == [(1,), (2,)]
    assert all(c.quote in c.passage for c in citations)


@pytest.mark.parametrize(
    ("short", "draft", "fits"),
    [
        ("GPT", "GPT stands for Generative Pre-trained Transformer.", True),
        ("ViT", "Vision Transformers (ViT)", True),
        ("ALIGN", "ALIGN stands for Joint embedding.", False),
        ("BM25", "BM25 is short for best matching.", True),
        ("RLM", "RLM stands for Reinforcement learning.", False),
        ("CLIP", "CLIP is a model.", False),
        ("temperature", "It is how freely it chooses.", True),
    ],
)
def test_a_guess_must_fit_the_letters(short, draft, fits):
    assert fits_letters(short, draft) is fits


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9), min_size=2, max_size=5, unique=True))
def test_the_initials_of_any_words_lead_back_to_words_that_fit(words):
    short = "".join(word[0] for word in words).upper()
    for text in meanings(short, f"There is one {' '.join(words)} ({short})."):
        assert fits_letters(short, text)


@given(st.text(max_size=60), st.text(max_size=200))
def test_no_text_breaks_it(short, text):
    asked_for(text)
    for sentence in meanings(short, text):
        assert sentence.endswith(".")
    assert fits_letters(short, text) in (True, False)


DEFINED = (passage("A honey sac carrier (HSC) fills cells."),)


def test_what_a_passage_spells_out_is_answered_without_the_model(assistant_with):
    model = ScriptedModel([])
    *_, last = assistant_with(model).answer("What does HSC stand for?", options=AnswerOptions(given=DEFINED))
    assert isinstance(last, Finished)
    assert (last.answer.text, last.answer.citations[0].quote) == ("HSC stands for honey sac carrier.", DEFINED[0].text)
    assert last.answer.tokens.generated == 0
    assert last.answer.timings.first_token_s is not None


def test_a_guess_that_does_not_fit_is_refused(assistant_with):
    question = "What does HSC stand for?"
    given = (passage("What does HSC stand for? The HSC stands beside the queen."),)
    events = list(
        assistant_with(ScriptedModel(["The HSC stands beside the queen."])).answer(question, options=AnswerOptions(given=given))
    )
    assert events[-1].answer.text == REFUSAL
    assert any(isinstance(event, Withdrawn) and "HSC" in event.reason for event in events)
