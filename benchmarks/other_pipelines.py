"""The same questions through LangChain and LlamaIndex: their usual parts with the same weights, embedder, guides and number of
passages. Imported by `first_word.py`, in an environment of its own.
"""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PACKAGES = (
    "langchain-core==1.7.2",
    "langchain-community==0.4.2",
    "langchain-text-splitters==1.1.3",
    "langchain-huggingface==1.2.3",
    "llama-index-core==0.14.25",
    "llama-index-llms-llama-cpp==0.7.0",
    "llama-index-embeddings-huggingface==0.8.0",
)
PIECE, OVERLAP = 1000, 200  # characters, as LangChain's tutorials have it
TOKENS, TOKEN_OVERLAP = 256, 20  # LlamaIndex counts tokens


def environment(folder: Path) -> Path:
    """The Python of an environment that has these packages and sees those of this one; made where it is missing."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        sys.stderr.write(f"Installing LangChain and LlamaIndex into {folder} ...\n")
        venv.create(folder, with_pip=True, clear=True)
        own = next((folder / "lib").glob("python*/site-packages"))
        seen = sysconfig.get_paths()["purelib"]
        (own / "fieldguide.pth").write_text(f"import site; site.addsitedir({seen!r})\n", encoding="utf-8")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (folder / "ready").touch()
    return python


class LangChain:
    """Pieces of 1,000 characters, the nearest by cosine in an in-memory store, one prompt, a streamed answer."""

    def __init__(self, weights: Path, embedder: Path, texts: Sequence[str], passages: int, threads: int, tokens: int) -> None:
        from langchain_community.chat_models import ChatLlamaCpp
        from langchain_core.output_parsers import StrOutputParser
        from langchain_core.prompts import ChatPromptTemplate
        from langchain_core.runnables import RunnablePassthrough
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_huggingface import HuggingFaceEmbeddings
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        pieces = RecursiveCharacterTextSplitter(chunk_size=PIECE, chunk_overlap=OVERLAP).create_documents(list(texts))
        store = InMemoryVectorStore.from_documents(pieces, HuggingFaceEmbeddings(model_name=str(embedder)))
        retriever = store.as_retriever(search_kwargs={"k": passages})
        prompt = ChatPromptTemplate.from_messages(
            [
                ("system", "Answer the question from the context in at most three sentences.\n\n{context}"),
                ("human", "{question}"),
            ]
        )
        model = ChatLlamaCpp(
            model_path=str(weights),
            n_ctx=4096,
            n_batch=512,
            n_threads=threads,
            temperature=0.0,
            max_tokens=tokens,
            verbose=False,
        )
        context = retriever | (lambda found: "\n\n".join(document.page_content for document in found))
        self._chain: Any = {"context": context, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()

    def stream(self, question: str) -> Iterator[str]:
        """The answer, piece by piece."""
        return iter(self._chain.stream(question))


class LlamaIndex:
    """Sentences packed to 256 tokens, the nearest by cosine in an in-memory store, a streamed answer."""

    def __init__(self, weights: Path, embedder: Path, texts: Sequence[str], passages: int, threads: int, tokens: int) -> None:
        from llama_index.core import Document, Settings, VectorStoreIndex
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from llama_index.llms.llama_cpp import LlamaCPP

        Settings.tokenizer = str.split  # its default would be fetched
        embedding = HuggingFaceEmbedding(model_name=str(embedder))
        splitter = SentenceSplitter(chunk_size=TOKENS * 3 // 4, chunk_overlap=TOKEN_OVERLAP)  # three words are four tokens
        model = LlamaCPP(
            model_path=str(weights),
            temperature=0.0,
            max_new_tokens=tokens,
            context_window=4096,
            model_kwargs={"n_threads": threads, "n_batch": 512},
            messages_to_prompt=_as_chat,
            completion_to_prompt=lambda text: f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
            verbose=False,
        )
        index = VectorStoreIndex.from_documents(
            [Document(text=text) for text in texts], embed_model=embedding, transformations=[splitter]
        )
        self._engine: Any = index.as_query_engine(llm=model, similarity_top_k=passages, streaming=True)

    def stream(self, question: str) -> Iterator[str]:
        """The answer, piece by piece."""
        return iter(self._engine.query(question).response_gen)


def _as_chat(messages: Sequence[Any]) -> str:
    turns = "".join(f"<|im_start|>{message.role.value}\n{message.content}<|im_end|>\n" for message in messages)
    return f"{turns}<|im_start|>assistant\n"
