"""Many chats at once through one causal language model; imported late, for it needs torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from conductor_gym.errors import ConfigError, one_line
from conductor_gym.live.batching import Room
from conductor_gym.live.messages import Message
from conductor_gym.live.vocabulary import fold_head

UNIFORM_BITS = 23
"""Bits of a draw: it stays below 1 when a float32 sum of probabilities scales it."""


@dataclass(eq=False)
class Row:
    """One chat on its way through the model.

    Attributes:
        prompt: Its tokens.
        most: Most tokens to say, at least 1.
        temperature: 0 takes the likeliest token always.
        top_p: Share of probability to sample from.
        random: Its own draws, one a token.
        given_up: Tells whether nobody waits for it any more.
        said: Tokens so far, an end token included.
        done: Whether it is complete, or given up.
    """

    prompt: list[int]
    most: int
    temperature: float
    top_p: float
    random: Random
    given_up: Callable[[], bool]
    said: list[int] = field(default_factory=list[int])
    done: bool = False


class ChatModel:
    """A causal language model with a chat template, on the GPU where there is one.

    Attributes:
        device: Where it runs.
        window: Tokens of prompt and reply together.
        bytes_per_token: Of cached keys and values.
    """

    def __init__(self, name: str, dtype: str | None = None) -> None:
        """Load it; weights are safetensors, and no code that comes with a model is run.

        Args:
            name: Folder in Hugging Face's form, or a name on its hub.
            dtype: ``"float32"`` or ``"bfloat16"``; where None, the latter on a GPU and on a CPU
                that multiplies it, else the former.

        Raises:
            ConfigError: It cannot be loaded, or has no chat template.
        """
        if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
            raise ConfigError(f"model folder {name!r} does not exist (looked in {Path.cwd()}).")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kind = _dtype(self.device) if dtype is None else getattr(torch, dtype)
        load_tokenizer: Any = AutoTokenizer.from_pretrained  # pyright: ignore
        load_model: Any = AutoModelForCausalLM.from_pretrained  # pyright: ignore
        bar = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            source = str(Path(name).expanduser())
            tokenizer: Any = load_tokenizer(source, trust_remote_code=False)
            model: Any = load_model(
                source, dtype=kind, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ConfigError(
                f"model {name!r} cannot be loaded ({one_line(error)}). Give a folder in Hugging "
                "Face's form, or a name on its hub where the hub can be reached."
            ) from None
        finally:
            if bar:
                transformers_logging.enable_progress_bar()
        if not tokenizer.chat_template:
            raise ConfigError(f"model {name!r} has no chat template: give one tuned for chat.")
        self.tokenizer = tokenizer
        self.model: Any = model.to(self.device).eval()
        fold_head(self.model)
        config = model.config.get_text_config()
        self.window = int(config.max_position_embeddings)
        ends: Any = model.generation_config.eos_token_id
        self.end_tokens: set[int | None] = {tokenizer.eos_token_id}
        self.end_tokens.update([ends] if isinstance(ends, int) else ends or ())
        heads = config.num_key_value_heads or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        self.bytes_per_token = 2 * config.num_hidden_layers * heads * width * kind.itemsize

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a chat, up to where the reply begins."""
        chat = [message._asdict() for message in messages]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, without the model's marks."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    def room(self) -> Room:
        """What fits into the memory that is free now."""
        if self.device.type == "cpu":
            return Room(rows=16, cached=65_536, read=4_096)
        free, _ = torch.cuda.mem_get_info(self.device)
        return Room(rows=256, cached=int(0.4 * free / self.bytes_per_token), read=65_536)

    def free_memory(self) -> None:
        """Give cached blocks of memory back."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def unload(self) -> None:
        """Free the model's memory; it cannot be used again."""
        self.model = None
        self.free_memory()


class Decoder:
    """Chats that are being answered, one token of each a step.

    The cache of keys and values is padded on the left to the longest row. Rows may come and go
    between steps.

    Attributes:
        rows: In the order of the cache; complete ones leave when enough of them are there.
    """

    def __init__(self, model: ChatModel) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._cache: Any = DynamicCache()
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=model.device)
        self._last = torch.zeros(0, dtype=torch.long, device=model.device)

    @property
    def length(self) -> int:
        """Tokens of the longest row, padding of the others."""
        return self._mask.shape[1]

    @torch.inference_mode()
    def add(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new rows and say the first token of each."""
        device = self._model.device
        longest = max(len(row.prompt) for row in rows)
        ids = [[0] * (longest - len(row.prompt)) + row.prompt for row in rows]
        mask = [[0] * (longest - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
        mask_new = torch.tensor(mask, device=device)
        cache: Any = DynamicCache()
        logits = self._forward(
            torch.tensor(ids, device=device),
            mask_new,
            (mask_new.cumsum(-1) - 1).clamp(min=0),
            cache,
        )
        said = self._say(rows, logits)
        if self.rows:
            _join(self._cache, cache)
            widest = max(self.length, longest)
            mask_new = torch.cat([_padded(self._mask, widest, 1), _padded(mask_new, widest, 1)])
            said = torch.cat([self._last, said])
        else:
            self._cache = cache
        self._mask, self._last = mask_new, said
        self.rows.extend(rows)

    @torch.inference_mode()
    def step(self) -> None:
        """Say the next token of every row."""
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        position = self._mask.sum(-1, keepdim=True) - 1
        logits = self._forward(self._last[:, None], self._mask, position, self._cache)
        self._last = self._say(self.rows, logits)

    @torch.inference_mode()
    def drop_done(self) -> None:
        """Let complete rows leave the cache, once they are an eighth of it."""
        kept = [i for i, row in enumerate(self.rows) if not row.done]
        gone = len(self.rows) - len(kept)
        if gone == 0 or (kept and gone < len(self.rows) / 8):
            return
        self.rows = [self.rows[i] for i in kept]
        index = torch.tensor(kept, dtype=torch.long, device=self._model.device)
        self._last, mask = self._last[index], self._mask[index]
        if not kept:
            self._cache, self._mask = DynamicCache(), mask[:, :0]
            return
        first = int(mask.any(0).to(torch.int8).argmax())
        self._mask = mask[:, first:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[index, :, first:]
            layer.values = layer.values[index, :, first:]

    def _forward(self, ids: Tensor, mask: Tensor, position: Tensor, cache: Any) -> Tensor:
        """Logits [rows, vocabulary] of the token after the last."""
        out = self._model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float()

    def _say(self, rows: Sequence[Row], logits: Tensor) -> Tensor:
        """Choose a token for each row, and note which rows are complete with it."""
        tokens = choose(
            logits,
            [row.temperature for row in rows],
            [row.top_p for row in rows],
            [row.random.getrandbits(UNIFORM_BITS) * 2.0**-UNIFORM_BITS for row in rows],
        )
        numbers: list[int] = tokens.tolist()  # pyright: ignore
        for row, token in zip(rows, numbers, strict=True):
            if row.done:
                continue
            row.said.append(token)
            full = len(row.said) >= row.most
            row.done = full or token in self._model.end_tokens or row.given_up()
        return tokens


def choose(
    logits: Tensor,
    temperature: Sequence[float],
    top_p: Sequence[float],
    uniform: Sequence[float],
) -> Tensor:
    """One token a row, by inverting the distribution function at the row's own draw.

    Args:
        logits: [rows, vocabulary], float32.
        temperature: By row; 0 takes the likeliest token.
        top_p: By row, in (0, 1]: only the likeliest tokens that together reach it are sampled.
        uniform: By row, in [0, 1), in steps of 2^-23.

    Returns:
        [rows], int64.
    """
    likeliest = logits.argmax(-1)
    if max(temperature) == 0.0:
        return likeliest
    heat, share, draw = torch.tensor([temperature, top_p, uniform], device=logits.device)[..., None]
    chances = torch.softmax(logits / torch.where(heat > 0.0, heat, 1.0), dim=-1)
    order = None
    if min(top_p) < 1.0:
        chances, order = chances.sort(dim=-1, descending=True)
        chances = chances.masked_fill(chances.cumsum(-1) - chances >= share, 0.0)
    total = chances.cumsum(-1)
    index = torch.searchsorted(total, draw * total[:, -1:], right=True)
    index = index.clamp(max=logits.shape[1] - 1)
    drawn = index if order is None else order.gather(1, index)
    return torch.where(heat[:, 0] > 0.0, drawn[:, 0], likeliest)


def _dtype(device: torch.device) -> torch.dtype:
    """The fastest type of numbers here."""
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)
    fast = device.type == "cuda" or capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def _padded(values: Tensor, length: int, dim: int) -> Tensor:
    """Zeros in front along a dimension."""
    shape = list(values.shape)
    shape[dim] = length - shape[dim]
    return values if shape[dim] == 0 else torch.cat([values.new_zeros(shape), values], dim=dim)


def _join(cache: Any, more: Any) -> None:
    """Append the rows of another cache."""
    for layer, other in zip(cache.layers, more.layers, strict=True):
        length = max(layer.keys.shape[2], other.keys.shape[2])
        layer.keys = torch.cat([_padded(layer.keys, length, 2), _padded(other.keys, length, 2)])
        layer.values = torch.cat(
            [_padded(layer.values, length, 2), _padded(other.values, length, 2)]
        )
