"""The default model in PyTorch, for learning: a question and its answer behind keys and values that are given.

The weights come out of the GGUF file, unpacked; nothing of them is changed. Written for Qwen2 (arXiv 2407.10671) as llama.cpp
computes it: RMS norm, grouped attention with rotary positions in halves, a gated feed-forward layer. What is learnt is added to
the products of single weights: low-rank adaptation (LoRA, Hu et al. 2021, arXiv 2106.09685).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ADAPTED = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens behind others: keys and values of what stands before them are (layers, cells, width)."""

    tokens: list[int]
    keys: Tensor
    values: Tensor
    predicted_from: int  # the index of the first token whose successor is wanted


class _FrozenProduct(torch.autograd.Function):  # type: ignore[misc]
    """A product with a weight that is not learnt, by NumPy's BLAS: with AVX2 only, twice as fast as PyTorch's own."""

    @staticmethod
    def forward(context: Any, state: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - PyTorch's context
        context.weight = weight
        return torch.from_numpy(state.detach().numpy() @ weight.numpy().T)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return torch.from_numpy(gradient.contiguous().numpy() @ context.weight.numpy()), None


def _product(state: Tensor, weight: Tensor) -> Tensor:
    product: Tensor = _FrozenProduct.apply(state, weight)
    return product


def new_pair(out: int, width: int, rank: int) -> tuple[Tensor, Tensor]:
    """What is learnt for a weight (out, width) as it begins: (rank, width) and (out, rank), whose product is nothing yet."""
    down = torch.empty(rank, width).uniform_(-1, 1) / math.sqrt(width)
    return down.requires_grad_(), torch.zeros(out, rank).requires_grad_()


class Adapter:
    """What is learnt: for each adapted weight (out, in) a pair (rank, in) and (out, rank), whose product is added, scaled."""

    def __init__(self, network: "Network", layers: range, rank: int, alpha: float) -> None:
        self.layers, self.rank, self.alpha = layers, rank, alpha
        self.pairs: dict[str, tuple[Tensor, Tensor]] = {}
        for name in (f"blk.{layer}.{part}.weight" for layer in layers for part in ADAPTED):
            self.pairs[name] = new_pair(*network.shape(name), rank)

    def take(self, path: Path) -> None:
        """Go on from what was learnt before: the adapter in a GGUF file."""
        found = {tensor.name: torch.from_numpy(np.array(tensor.data, np.float32)) for tensor in gguf.GGUFReader(path).tensors}
        with torch.no_grad():
            for name, (down, up) in self.pairs.items():
                down.copy_(found[f"{name}.lora_a"])
                up.copy_(found[f"{name}.lora_b"])

    def added(self, name: str, state: Tensor) -> Tensor | None:
        """What is added to a weight's product with the state; None where nothing was learnt for it."""
        if (pair := self.pairs.get(name)) is None:
            return None
        return functional.linear(functional.linear(state, pair[0]), pair[1]) * (self.alpha / self.rank)


class Network:
    """Weights, unpacked from a GGUF file of a Qwen2 model."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._weights = {
            tensor.name: torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32))
            for tensor in reader.tensors
        }
        self.layers, self._heads, self._groups, self._epsilon, self._base = (
            reader.fields[f"qwen2.{name}"].contents()
            for name in (
                "block_count",
                "attention.head_count",
                "attention.head_count_kv",
                "attention.layer_norm_rms_epsilon",
                "rope.freq_base",
            )
        )
        self._embedding = self._weights["token_embd.weight"]
        self._width = self._embedding.shape[1] // self._heads  # of a head
        self.adapter: Adapter | None = None

    def shape(self, name: str) -> tuple[int, int]:
        """Outputs and inputs of a weight."""
        out, width = self._weights[name].shape
        return out, width

    def states(self, stretches: Sequence[Stretch], layers: range, state: Tensor | None = None) -> Tensor:
        """What some layers make of all stretches' tokens, one behind the other: (tokens, width). Without a state, the tokens
        themselves go in.
        """
        bounds = list(pairwise(accumulate((len(stretch.tokens) for stretch in stretches), initial=0)))
        positions = torch.cat([torch.arange(len(stretch.tokens)) + stretch.keys.shape[1] for stretch in stretches])
        if state is None:
            state = self._embedding[torch.tensor([token for stretch in stretches for token in stretch.tokens])]
        for layer in layers:
            state = state + self._attention(layer, state, positions, list(zip(stretches, bounds, strict=True)))
            state = state + self._feed_forward(layer, state)
        return state

    def log_probabilities(self, stretches: Sequence[Stretch], state: Tensor) -> list[Tensor]:
        """Of all tokens, after each wanted one: (wanted, vocabulary) for each stretch; `state` is what the last layer made."""
        bounds = pairwise(accumulate((len(stretch.tokens) for stretch in stretches), initial=0))
        wanted = [state[start + stretch.predicted_from : end] for stretch, (start, end) in zip(stretches, bounds, strict=True)]
        normal = self._normal(torch.cat(wanted), "output_norm.weight")
        scores = _product(normal, self._weights.get("output.weight", self._embedding))
        return list(scores.log_softmax(-1).split([len(part) for part in wanted]))

    def _attention(
        self, layer: int, state: Tensor, positions: Tensor, stretches: Sequence[tuple[Stretch, tuple[int, int]]]
    ) -> Tensor:
        """All stretches at once but for the attention itself: none sees another."""
        normal = self._normal(state, f"blk.{layer}.attn_norm.weight")
        query, key, value = (self._linear(normal, f"blk.{layer}.attn_{name}") for name in "qkv")
        query, key = self._turned(query, positions), self._turned(key, positions)
        seen = []
        for stretch, (start, end) in stretches:
            keys = torch.cat([stretch.keys[layer].float(), key[start:end]])
            values = torch.cat([stretch.values[layer].float(), value[start:end]])
            seen.append(self._attend(query[start:end], keys, values))
        return self._linear(torch.cat(seen), f"blk.{layer}.attn_output")

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Each token sees all cells up to its own, which are the last ones."""
        tokens, cells, shared = len(query), len(keys), self._heads // self._groups
        queries = query.view(tokens, self._groups, shared, self._width).permute(1, 2, 0, 3)
        scores = queries @ keys.view(cells, self._groups, 1, self._width).permute(1, 2, 3, 0) / math.sqrt(self._width)
        later = torch.full((tokens, tokens), -torch.inf).triu(1)
        shares = (scores + functional.pad(later, (cells - tokens, 0))).softmax(-1)
        return (shares @ values.view(cells, self._groups, 1, self._width).permute(1, 2, 0, 3)).permute(2, 0, 1, 3).flatten(1)

    def _feed_forward(self, layer: int, state: Tensor) -> Tensor:
        normal = self._normal(state, f"blk.{layer}.ffn_norm.weight")
        gate, up = (self._linear(normal, f"blk.{layer}.ffn_{name}") for name in ("gate", "up"))
        return self._linear(functional.silu(gate) * up, f"blk.{layer}.ffn_down")

    def _linear(self, state: Tensor, name: str) -> Tensor:
        product = _product(state, self._weights[f"{name}.weight"])
        if f"{name}.bias" in self._weights:
            product = product + self._weights[f"{name}.bias"]
        added = self.adapter.added(f"{name}.weight", state) if self.adapter else None
        return product if added is None else product + added

    def _normal(self, state: Tensor, name: str) -> Tensor:
        return functional.rms_norm(state, state.shape[-1:], self._weights[name], self._epsilon)

    def _turned(self, state: Tensor, positions: Tensor) -> Tensor:
        """Rotary positions (arXiv 2104.09864), in halves."""
        heads = state.unflatten(-1, (-1, self._width))
        angles = positions[:, None] * self._base ** (-torch.arange(0, self._width, 2, dtype=torch.float64) / self._width)
        cosine, sine = angles.cos().float()[:, None], angles.sin().float()[:, None]
        x, y = heads.chunk(2, -1)
        return torch.cat([x * cosine - y * sine, x * sine + y * cosine], -1).flatten(1)
