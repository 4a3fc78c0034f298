"""What writes the replies of episodes that go on turn by turn: transformers or vLLM; imported late.

A writer is given tokens and returns tokens, so a sequence is trained on as it was written.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache


class Written(NamedTuple):
    """One reply.

    Attributes:
        tokens: Its own, the one that ends it included where it was written.
        logprobs: Of each token as it was drawn; NaN where unknown.
    """

    tokens: list[int]
    logprobs: list[float]


class Writer(Protocol):
    """Writes replies for n chats at once."""

    def begin(self, prompts: Sequence[list[int]]) -> None:
        """Start n chats, each with its first prompt's tokens."""
        ...

    def write(self, news: Sequence[list[int] | None]) -> list[Written]:
        """Write the next reply of each chat.

        Args:
            news: Tokens since the last reply; None for a chat that is over, which writes nothing.
        """
        ...


class CachedWriter:
    """Transformers with a cache that lasts for whole episodes; equal prompts are read once.

    Args:
        model: The model itself, not what trainers wrap around it.
        end: Token that ends a reply.
        most: Most tokens of a reply.
        temperature: Of sampling.
        top_p: Of sampling.
        random: Own draws.
        autocast: Context in which the model is called, as in training.
    """

    def __init__(
        self,
        model: Any,
        end: int,
        most: int,
        temperature: float,
        top_p: float,
        random: torch.Generator,
        autocast: Callable[[], Any],
    ) -> None:
        self._model, self._end, self._most = model, end, most
        self._temperature, self._top_p = temperature, top_p
        self._random, self._autocast = random, autocast

    def begin(self, prompts: Sequence[list[int]]) -> None:
        """See `Writer.begin`."""
        different = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
        row_of = {prompt: row for row, prompt in enumerate(different)}
        self._cache: Any = DynamicCache(config=self._model.config)
        self._seen = torch.zeros((len(different), 0), dtype=torch.long)
        self._read([list(prompt[:-1]) for prompt in different])
        rows = torch.tensor([row_of[tuple(prompt)] for prompt in prompts])
        self._cache.batch_select_indices(rows.to(self._model.device))
        self._seen = self._seen[rows]
        self._pending = [prompt[-1:] for prompt in prompts]

    def write(self, news: Sequence[list[int] | None]) -> list[Written]:
        """See `Writer.write`."""
        written = [Written([], []) for _ in news]
        running = [row for row, more in enumerate(news) if more is not None]
        blocks: list[list[int]] = [[] for _ in news]
        for row in running:
            blocks[row] = [*self._pending[row], *(news[row] or [])]
        while running:
            drawn, logprobs = self._draw(self._read(blocks))
            blocks = [[] for _ in news]
            for row in list(running):
                token, said = drawn[row], written[row]
                said.tokens.append(token)
                said.logprobs.append(logprobs[row])
                if token == self._end or len(said.tokens) == self._most:
                    running.remove(row)
                    self._pending[row] = [token]
                else:
                    blocks[row] = [token]
        return written

    @torch.no_grad()
    def _read(self, blocks: Sequence[list[int]]) -> Tensor:
        """Logits [n, vocabulary] behind each block; blocks are padded in front."""
        longest = max(len(block) for block in blocks)
        tokens = torch.tensor([[0] * (longest - len(block)) + block for block in blocks])
        real = torch.tensor([[0] * (longest - len(b)) + [1] * len(b) for b in blocks])
        before = self._seen.sum(dim=1, keepdim=True)
        self._seen = torch.cat([self._seen, real], dim=1)
        device = self._model.device
        with self._autocast():
            outputs = self._model(
                input_ids=tokens.to(device),
                attention_mask=self._seen.to(device),
                position_ids=(before + real.cumsum(dim=1) - 1).clamp(min=0).to(device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return outputs.logits[:, -1].float().cpu()

    def _draw(self, logits: Tensor) -> tuple[list[int], list[float]]:
        logprobs = torch.log_softmax(logits / self._temperature, dim=-1)
        chances = logprobs.exp()
        if self._top_p < 1.0:
            ordered, places = chances.sort(dim=-1, descending=True)
            kept = ordered.cumsum(dim=-1) - ordered < self._top_p
            chances = torch.zeros_like(chances).scatter(1, places, ordered * kept)
        drawn: Any = torch.multinomial(chances, 1, generator=self._random)
        said: Any = logprobs.gather(1, drawn)
        return drawn[:, 0].tolist(), said[:, 0].tolist()


class VllmWriter:
    """vLLM through TRL's own client, colocated or on a server, which caches what it has read.

    Every process makes the same calls with as many prompts, which the server needs: a chat that is
    over is asked again with one token, and what comes is dropped.

    Args:
        generation: `GRPOTrainer.vllm_generation`.
        end: Token that ends a reply.
    """

    def __init__(self, generation: Any, end: int) -> None:
        self._generation, self._end = generation, end

    def begin(self, prompts: Sequence[list[int]]) -> None:
        """See `Writer.begin`."""
        self._chats = [list(prompt) for prompt in prompts]

    def write(self, news: Sequence[list[int] | None]) -> list[Written]:
        """See `Writer.write`."""
        for chat, more in zip(self._chats, news, strict=True):
            chat += more or []
        asked = [
            [self._end] if more is None else chat
            for chat, more in zip(self._chats, news, strict=True)
        ]
        _, said, logprobs, _ = self._generation.generate(
            prompts=asked, images=None, num_generations=1
        )
        written: list[Written] = []
        for chat, more, tokens, chances in zip(self._chats, news, said, logprobs, strict=True):
            if more is None:
                written.append(Written([], []))
                continue
            chat += list(tokens)
            # A chance that vLLM could not tell counts as unknown, which the trainer knows as NaN.
            first = [float("nan") if c[0] is None else float(c[0]) for c in chances]
            written.append(Written(list(tokens), first))
        return written
