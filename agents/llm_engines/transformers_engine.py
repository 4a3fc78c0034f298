"""A model in this process through transformers. Imported late, for it needs torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conductor_gym.agents.llm_engines.adapter import with_adapter
from conductor_gym.agents.llm_engines.kept_prompts import Batch, KeptPrompts, Layers, shared
from conductor_gym.agents.llm_engines.protocol import Chat, Reply
from conductor_gym.agents.llm_engines.templates import encode_chat
from conductor_gym.agents.llm_engines.token_trie import Tries, Walk
from conductor_gym.errors import ConfigError
from conductor_gym.language.grammar import Grammar
from conductor_gym.live.decoding import UNIFORM_BITS, ChatModel, choose

WORTH_SHARING = 32
"""Tokens from which a common beginning of all chats is read once, before them."""


class TransformersEngine:
    """Answers chats in batches, on the GPU where there is one.

    A reply is a function of chat and seed but for one thing: how sums are rounded depends on which
    chats share a batch and on what was read before. In float32 that decides hardly ever, in
    bfloat16 where two tokens are nearly tied.

    Args:
        base: Folder of a model in Hugging Face's form, or its name on the hub.
        adapter: Folder of a LoRA adapter.
        dtype: ``"float32"``, ``"bfloat16"``, or None: what is fast here.
        temperature: 0 takes the likeliest token always.
        top_p: Share of probability to sample from.
        seed: Of the draws.
        rows: Chats that are answered together.

    Raises:
        ConfigError: No such model, or one that is not for chat.
        DataFileError: A broken adapter.
    """

    def __init__(
        self,
        base: str,
        adapter: Path | None = None,
        dtype: str | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        rows: int = 32,
    ) -> None:
        self._chat = ChatModel(base, dtype)
        model: Any = self._chat.model
        self._model = model if adapter is None else with_adapter(model, adapter)
        self._heat = temperature, top_p
        self._seed = seed
        self._most_rows = rows
        self._kept = KeptPrompts()
        tokenizer = self._chat.tokenizer
        if tokenizer.eos_token_id is None:
            raise ConfigError(f"model {base!r}: its tokenizer names no token that ends a reply.")
        self._tries = Tries(
            lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
            tokenizer.eos_token_id,
        )

    def count(self, chat: Chat) -> int:
        """See `LanguageEngine.count`."""
        return len(self._encode(chat))

    def reply(
        self, chats: Sequence[Chat], grammars: Sequence[Grammar] | None, most: int
    ) -> list[Reply]:
        """See `LanguageEngine.reply`."""
        if not chats:
            return []
        prompts = [self._encode(chat) for chat in chats]
        longest = max(len(prompt) for prompt in prompts) + most
        if longest > self._chat.window:
            raise ConfigError(
                f"a chat of {longest - most:,} tokens and a reply of {most} do not fit into the "
                f"model's window of {self._chat.window:,}: lower max_prompt_tokens."
            )
        self._read_beginning(prompts)
        known = self._kept.longest(prompts)
        replies: list[Reply | None] = [None] * len(prompts)
        kept: list[tuple[list[int], Layers]] = []
        for group in self._groups([len(p) - k[1] for p, k in zip(prompts, known, strict=True)]):
            batch = Batch(self._model, self._chat.device, len(group))
            batch.start([known[i][0] for i in group], [known[i][1] for i in group])
            logits = batch.feed([prompts[i][known[i][1] :] for i in group])
            kept += [(prompts[i], batch.layers_of(row)) for row, i in enumerate(group)]
            draws = [Random(self._key(prompts[i])) for i in group]
            if grammars is None:
                said = self._free(batch, logits, draws, most)
            else:
                said = self._constrained(batch, logits, draws, [grammars[i] for i in group])
            for i, (text, tokens) in zip(group, said, strict=True):
                replies[i] = Reply(text, len(prompts[i]), tokens)
        self._kept.replace(kept)
        return [reply for reply in replies if reply is not None]

    def close(self) -> None:
        """See `LanguageEngine.close`."""
        self._kept = KeptPrompts()
        self._model = None
        self._chat.unload()

    def _encode(self, chat: Chat) -> list[int]:
        return encode_chat(self._chat.tokenizer, chat)

    def _key(self, prompt: list[int]) -> int:
        """Seed of a reply's draws."""
        text = f"{self._seed} {prompt}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def _read_beginning(self, prompts: list[list[int]]) -> None:
        """Read what all chats begin with once, where that is not known yet."""
        if len(prompts) < 2:
            return
        first = np.array(prompts[0][:-1], np.int64)
        common = min(shared(first, np.array(prompt[:-1], np.int64)) for prompt in prompts)
        [(layers, known)] = self._kept.longest([prompts[0][: common + 1]])
        if common - known < WORTH_SHARING:
            return
        batch = Batch(self._model, self._chat.device, 1)
        batch.start([layers], [known])
        batch.feed([prompts[0][known:common]])
        self._kept.add(prompts[0][:common], batch.layers_of(0))

    def _groups(self, new: list[int]) -> list[list[int]]:
        """Chats that go through the model together: at most half of what is read is padding.

        Args:
            new: Tokens that are still to be read, by chat.
        """
        groups: list[list[int]] = []
        for i in sorted(range(len(new)), key=lambda i: -new[i]):
            full = not groups or len(groups[-1]) >= self._most_rows
            if full or new[i] * 2 < new[groups[-1][0]]:
                groups.append([])
            groups[-1].append(i)
        return groups

    def _constrained(
        self, batch: Batch, logits: Tensor, draws: list[Random], grammars: list[Grammar]
    ) -> list[tuple[str, int]]:
        walks = [Walk(self._tries, grammar) for grammar in grammars]
        while True:
            rows = [row for row, walk in enumerate(walks) if not walk.done]
            masked = torch.full_like(logits, -torch.inf)
            for row in rows:
                allowed = walks[row].allowed()
                masked[row, allowed] = logits[row, allowed]
            chosen = self._choose(masked[rows], [draws[row] for row in rows])
            told: list[list[int]] = [[] for _ in walks]
            for row, token in zip(rows, chosen, strict=True):
                told[row] = walks[row].push(token)
            if all(walk.done for walk in walks):
                return [("\n".join(walk.lines), len(walk.tokens)) for walk in walks]
            logits = batch.feed(told)

    def _free(
        self, batch: Batch, logits: Tensor, draws: list[Random], most: int
    ) -> list[tuple[str, int]]:
        said: list[list[int]] = [[] for _ in draws]
        done = [False] * len(draws)
        while True:
            chosen = self._choose(logits, draws)
            for row, token in enumerate(chosen):
                if not done[row]:
                    said[row].append(token)
                    full = len(said[row]) >= most
                    done[row] = full or token in self._chat.end_tokens
            if all(done):
                return [(self._chat.decode(tokens), len(tokens)) for tokens in said]
            told = [[] if done[row] else [token] for row, token in enumerate(chosen)]
            logits = batch.feed(told)

    def _choose(self, logits: Tensor, draws: list[Random]) -> list[int]:
        n = len(draws)
        uniform = [own.getrandbits(UNIFORM_BITS) * 2.0**-UNIFORM_BITS for own in draws]
        heat, share = self._heat
        tokens: list[int] = choose(logits, [heat] * n, [share] * n, uniform).tolist()  # pyright: ignore
        return tokens
