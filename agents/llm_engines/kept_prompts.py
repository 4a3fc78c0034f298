"""Keys and values of the chats last read, so that only what is new of the next ones is read.

An episode's next chat begins with its last one, and all chats begin with the same instructions and
workers: of a step's prompt, a few dozen tokens are new. Imported late, for it needs torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache

Layers = list[tuple[Tensor, Tensor]]
"""By layer: keys and values [heads, tokens, width]."""


@dataclass(eq=False)
class _Row:
    """A prompt that was read."""

    tokens: npt.NDArray[np.int64]
    layers: Layers


class Batch:
    """Prompts on their way through a model: its cache, and which of its columns each row uses.

    Args:
        model: A causal language model.
        device: Where it runs.
        rows: How many prompts.
    """

    def __init__(self, model: Any, device: torch.device, rows: int) -> None:
        self._model = model
        self._device = device
        self.cache: Any = DynamicCache()
        self.mask = torch.zeros((rows, 0), dtype=torch.long, device=device)

    def start(self, layers: list[Layers | None], lengths: list[int]) -> None:
        """Begin with what was read before.

        Args:
            layers: By row; None where nothing was.
            lengths: Tokens that each row takes of it, from the first.
        """
        longest = max(lengths)
        given = next((one for one in layers if one is not None), None)
        if not longest or given is None:
            return
        for at in range(len(given)):
            sides: list[Tensor] = []
            for side in (0, 1):
                heads, _, width = given[at][side].shape
                joined = given[at][side].new_zeros((len(lengths), heads, longest, width))
                for row, (one, length) in enumerate(zip(layers, lengths, strict=True)):
                    if one is not None and length:
                        joined[row, :, longest - length :] = one[at][side][:, :length]
                sides.append(joined)
            self.cache.update(*sides, at)
        columns = torch.arange(longest, device=self._device)
        first = longest - torch.tensor(lengths, device=self._device)
        self.mask = (columns[None] >= first[:, None]).long()

    @torch.inference_mode()
    def feed(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Read more of every row.

        Args:
            tokens: By row, padded here on the left.

        Returns:
            float32 [rows, vocabulary], what may come next; without meaning where none was read.
        """
        longest = max(len(one) for one in tokens)
        ids = [[0] * (longest - len(one)) + list(one) for one in tokens]
        new = [[0] * (longest - len(one)) + [1] * len(one) for one in tokens]
        fresh = torch.tensor(new, device=self._device)
        before = self.mask.sum(-1, keepdim=True)
        self.mask = torch.cat([self.mask, fresh], dim=1)
        out = self._model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=self.mask,
            position_ids=(before + fresh.cumsum(-1) - 1).clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float()

    def layers_of(self, row: int) -> Layers:
        """A copy of a row's keys and values, without padding."""
        columns = self.mask[row].nonzero()[:, 0]
        return [
            (layer.keys[row][:, columns].clone(), layer.values[row][:, columns].clone())
            for layer in self.cache.layers
        ]


class KeptPrompts:
    """Prompts of the last call, by which the next ones are found."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def longest(self, prompts: Sequence[Sequence[int]]) -> list[tuple[Layers | None, int]]:
        """For each prompt, who begins as it does for longest, and for how many tokens.

        The last token of a prompt is never counted: it has to be read for what follows it.
        """
        found: list[tuple[Layers | None, int]] = []
        for prompt in prompts:
            given = np.array(prompt[:-1], np.int64)
            best: _Row | None = None
            most = 0
            for row in self._rows:
                same = shared(given, row.tokens)
                if same > most:
                    best, most = row, same
            found.append((best.layers if best else None, most))
        return found

    def replace(self, rows: Sequence[tuple[Sequence[int], Layers]]) -> None:
        """Keep these and no others."""
        self._rows = [_Row(np.array(tokens, np.int64), layers) for tokens, layers in rows]

    def add(self, tokens: Sequence[int], layers: Layers) -> None:
        """Keep one more."""
        self._rows.append(_Row(np.array(tokens, np.int64), layers))


def shared(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> int:
    """Tokens from the beginning in which two agree."""
    n = min(len(first), len(second))
    differ = first[:n] != second[:n]
    return int(differ.argmax()) if differ.any() else n
