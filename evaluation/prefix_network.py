"""The default model in PyTorch, for learning: a question and its answer behind keys and values that are given.

The weights come out of the GGUF file, unpacked to bfloat16; nothing of them is changed. Written for Qwen2 (arXiv 2407.10671) as
llama.cpp computes it: RMS norm, grouped attention with rotary positions in halves, a gated feed-forward layer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens behind others: keys and values of what stands between the prefix and them are (layers, cells, width)."""

    tokens: list[int]
    keys: Tensor
    values: Tensor
    predicted_from: int  # the index of the first token whose successor is wanted


class Network:
    """Weights, unpacked from a GGUF file of a Qwen2 model."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._weights: dict[str, Tensor] = {}
        for tensor in reader.tensors:
            unpacked = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
            self._weights[tensor.name] = unpacked.bfloat16() if unpacked.ndim == 2 else unpacked.float()
        self._layers, self._heads, self._groups, self._epsilon, self._base = (
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

    def log_probabilities(self, prefix: tuple[Tensor, Tensor], stretches: Sequence[Stretch]) -> list[Tensor]:
        """Of all tokens, after each wanted one: (wanted, vocabulary) for each stretch.

        `prefix`: keys and values of the cells before all stretches, (layers, cells, width) each.
        """
        cells = prefix[0].shape[1]
        bounds = list(pairwise(accumulate((len(stretch.tokens) for stretch in stretches), initial=0)))
        positions = torch.cat([torch.arange(len(stretch.tokens)) + cells + stretch.keys.shape[1] for stretch in stretches])
        state = self._embedding[torch.tensor([token for stretch in stretches for token in stretch.tokens])].float()
        for layer in range(self._layers):
            state = state + self._attention(layer, state, positions, prefix, list(zip(stretches, bounds, strict=True)))
            state = state + self._feed_forward(layer, state)
        wanted = [state[start + stretch.predicted_from : end] for stretch, (start, end) in zip(stretches, bounds, strict=True)]
        normal = self._normal(torch.cat(wanted), "output_norm.weight").bfloat16()
        scores = functional.linear(normal, self._weights.get("output.weight", self._embedding)).float()
        return list(scores.log_softmax(-1).split([len(part) for part in wanted]))

    def _attention(
        self,
        layer: int,
        state: Tensor,
        positions: Tensor,
        prefix: tuple[Tensor, Tensor],
        stretches: Sequence[tuple[Stretch, tuple[int, int]]],
    ) -> Tensor:
        """All stretches at once but for the attention itself: none sees another."""
        normal = self._normal(state, f"blk.{layer}.attn_norm.weight")
        query, key, value = (self._linear(normal, f"blk.{layer}.attn_{name}") for name in "qkv")
        query, key = self._turned(query, positions), self._turned(key, positions)
        seen = []
        for stretch, (start, end) in stretches:
            keys = torch.cat([prefix[0][layer], stretch.keys[layer].float(), key[start:end]])
            values = torch.cat([prefix[1][layer], stretch.values[layer].float(), value[start:end]])
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
        product = functional.linear(state.bfloat16(), self._weights[f"{name}.weight"]).float()
        return product + self._weights[f"{name}.bias"] if f"{name}.bias" in self._weights else product

    def _normal(self, state: Tensor, name: str) -> Tensor:
        return functional.rms_norm(state, state.shape[-1:], self._weights[name], self._epsilon)

    def _turned(self, state: Tensor, positions: Tensor) -> Tensor:
        """Rotary positions (arXiv 2104.09864), in halves."""
        heads = state.unflatten(-1, (-1, self._width))
        angles = positions[:, None] * self._base ** (-torch.arange(0, self._width, 2, dtype=torch.float64) / self._width)
        cosine, sine = angles.cos().float()[:, None], angles.sin().float()[:, None]
        x, y = heads.chunk(2, -1)
        return torch.cat([x * cosine - y * sine, x * sine + y * cosine], -1).flatten(1)
