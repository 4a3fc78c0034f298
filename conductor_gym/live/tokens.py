"""Counting the tokens of a worker: by its own tokenizer, as LiteLLM does, or by characters."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from conductor_gym.errors import ConfigError, MissingExtraError, one_line
from conductor_gym.live.messages import Message, Tokens
from conductor_gym.tasks.task import CHARACTERS_PER_TOKEN, count_tokens
from conductor_gym.workers.endpoint import Endpoint

MARKS_PER_MESSAGE = 16
"""Tokens at most that a chat's format puts around a message: `assumed`."""
MARKS_PER_CHAT = 32
"""Tokens at most that it puts around the whole, a default system text left out: `assumed`."""


def bytes_bound(messages: tuple[Message, ...]) -> int:
    """Tokens at most by any tokenizer: no token is shorter than a byte."""
    said = sum(len(message.content.encode(errors="surrogatepass")) for message in messages)
    return said + _marks(messages)


def _marks(messages: tuple[Message, ...]) -> int:
    return MARKS_PER_MESSAGE * len(messages) + MARKS_PER_CHAT


def _start_within(text: str, end: int, most: int, count: Callable[[str], int]) -> str:
    """The start up to `end`, shortened until it counts right alone: a cut can split a token."""
    step = 1
    while end > 0 and count(text[:end]) > most:
        end, step = max(0, end - step), 2 * step
    return text[: max(0, end)]


class CharTokens:
    """Four characters are a token, as suites count: `assumed`, for workers without a tokenizer."""

    def count(self, text: str) -> int:
        """See `Tokens.count`."""
        return count_tokens(text)

    def cut(self, text: str, most: int) -> str:
        """See `Tokens.cut`."""
        return text[: CHARACTERS_PER_TOKEN * max(0, most)]

    def bound(self, messages: tuple[Message, ...]) -> int:
        """See `Tokens.bound`: the number of bytes, and marks."""
        return bytes_bound(messages)


class HFTokens:
    """The tokenizer of a model in Hugging Face's format, from this machine's disk alone."""

    def __init__(self, name: str) -> None:
        """Load a tokenizer.

        Args:
            name: A folder, or a hub's name of which the files are in the local cache.

        Raises:
            MissingExtraError: transformers is not installed.
            ConfigError: There is no tokenizer, or only one that cannot tell where tokens begin.
        """
        try:
            from transformers import AutoTokenizer
        except ModuleNotFoundError as error:
            raise MissingExtraError("counting tokens by a model's tokenizer", "llm") from error
        load: Any = AutoTokenizer
        try:
            self._tokenizer = load.from_pretrained(name, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"no tokenizer can be loaded from {name!r} ({one_line(error)[:120]}). Give a "
                "folder with tokenizer.json, or the name of a model that is in the local cache, as "
                "`tokenizer` of the worker (`model`, where that runs in this process); nothing is "
                "downloaded."
            ) from None
        if not self._tokenizer.is_fast:
            raise ConfigError(
                f"the tokenizer of {name!r} has no tokenizer.json: save it once in the fast form."
            )
        # used directly: the wrapper around it changes its settings as it goes, unsafe in threads
        self._core: Any = self._tokenizer.backend_tokenizer

    def count(self, text: str) -> int:
        """See `Tokens.count`."""
        return len(self._core.encode(text, add_special_tokens=False).ids)

    def cut(self, text: str, most: int) -> str:
        """See `Tokens.cut`; the cut is between tokens."""
        if most <= 0:
            return ""
        offsets = self._core.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= most:
            return text
        return _start_within(text, offsets[most - 1][1], most, self.count)

    def bound(self, messages: tuple[Message, ...]) -> int:
        """See `Tokens.bound`: by the model's chat template where it has one that fits."""
        try:
            chat = self._tokenizer.apply_chat_template(
                [message._asdict() for message in messages],
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception:  # a template raises anything: none, no system role, a broken one
            return sum(self.count(message.content) for message in messages) + _marks(messages)
        return self.count(chat) + MARKS_PER_CHAT


class LiteLLMTokens:
    """Counts as LiteLLM does for a model, without a network: near, not exact, for most models."""

    def __init__(self, model: str) -> None:
        """Get ready.

        Args:
            model: As LiteLLM knows it.

        Raises:
            MissingExtraError: LiteLLM is not installed.
        """
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        try:
            import litellm
        except ModuleNotFoundError as error:
            raise MissingExtraError("counting tokens of a provider's model", "live") from error
        library: Any = litellm
        library.disable_hf_tokenizer_download = True
        self._litellm = library
        self._model = model

    def count(self, text: str) -> int:
        """See `Tokens.count`."""
        return len(self._ids(text))

    def cut(self, text: str, most: int) -> str:
        """See `Tokens.cut`; the cut is between tokens."""
        if most <= 0:
            return ""
        ids = self._ids(text)
        if len(ids) <= most:
            return text
        start: str = self._litellm.decode(model=self._model, tokens=ids[:most])
        whole = start.rstrip("\ufffd")  # half a character
        end = len(whole) if text.startswith(whole) else CHARACTERS_PER_TOKEN * most
        return _start_within(text, end, most, self.count)

    def bound(self, messages: tuple[Message, ...]) -> int:
        """See `Tokens.bound`: the number of bytes, and marks; the provider may count otherwise."""
        return bytes_bound(messages)

    def _ids(self, text: str) -> list[int]:
        return self._litellm.encode(model=self._model, text=text)


def tokens_of(endpoint: Endpoint) -> Tokens:
    """What counts the tokens of a worker; the same object for equal endpoints.

    Its `tokenizer` where it names one, else the model's own in this process, what LiteLLM knows, or
    characters behind a server that does not say how it counts.

    Raises:
        MissingExtraError: A package is not installed.
        ConfigError: The tokenizer is not on this machine.
    """
    if endpoint.tokenizer is not None:
        return _hugging_face(endpoint.tokenizer)
    if endpoint.client == "transformers":
        return _hugging_face(endpoint.model)
    return LiteLLMTokens(endpoint.model) if endpoint.client == "litellm" else CharTokens()


@lru_cache(maxsize=32)
def _hugging_face(name: str) -> HFTokens:
    return HFTokens(name)
