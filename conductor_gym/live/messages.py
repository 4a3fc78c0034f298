"""What goes to a live worker and what comes back, whoever carries it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from conductor_gym.types import Status


class Message(NamedTuple):
    """One message of a chat.

    Attributes:
        role: ``"system"``, ``"user"`` or ``"assistant"``.
        content: Text.
    """

    role: str
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """One call to one worker, before any attempt to send it.

    Attributes:
        worker: The worker's uid.
        model: Name of the model as its endpoint knows it.
        messages: The chat.
        max_tokens: Most output tokens.
        settings: Sampling and whatever else is sent, such as ``temperature``; JSON values.
        template: Version of the prompts that the messages were made from.
        attempt: How often the worker was asked the same before: a repeated call is a new sample.
        luck: What else makes it a new sample, such as stream and pass of the episode.
        about: Where in an episode it stands (uid, domain, subtask, part, ...): for people and fits,
            no part of the key.
    """

    worker: str
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    settings: Mapping[str, Any]
    template: str
    attempt: int = 0
    luck: str = ""
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def key(self) -> str:
        """BLAKE2b of all that a reply may depend on, 32 hex digits: equal keys are one call."""
        said = [
            self.worker,
            self.model,
            self.messages,
            self.max_tokens,
            dict(self.settings),
            self.template,
            self.attempt,
            self.luck,
        ]
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class ChatReply(NamedTuple):
    """How a call came back after all attempts to send it.

    Attributes:
        status: ``OK`` where there is a text, else ``MALFORMED`` (no chat reply could be read),
            ``REFUSED``, ``OVERFLOW``, ``UNAFFORDABLE``, ``THROTTLED``, ``UNAVAILABLE`` or
            ``TIMEOUT``.
        text: What the worker said; empty without one.
        tokens_in: Input tokens billed.
        tokens_out: Output tokens billed.
        cost: nano-USD billed.
        latency: Microseconds from the first attempt to the reply, waiting between attempts
            included, waiting for a free slot of our own limits left out.
        tries: Attempts that were sent.
        counted: Whether tokens were counted here because the reply did not state them.
        detail: Why it failed, in a few words; never holds a key.
    """

    status: Status
    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0
    latency: int = 0
    tries: int = 1
    counted: bool = False
    detail: str = ""


class Completion(NamedTuple):
    """What one attempt brought.

    Attributes:
        text: What the worker said, may be empty.
        tokens_in: Input tokens as the reply states them, None where it does not.
        tokens_out: Output tokens, likewise.
        refused: Whether the provider says that it withheld the answer.
    """

    text: str
    tokens_in: int | None
    tokens_out: int | None
    refused: bool = False


class CallError(Exception):
    """One attempt failed in a way that the environment has a status for.

    Attributes:
        status: What the call comes to if no later attempt succeeds.
        retry: Whether another attempt may succeed.
        retry_after_s: Seconds that the other side asked to wait, None where it did not.
        usage: Input and output tokens that the failed attempt was billed, None for none.
    """

    def __init__(
        self,
        status: Status,
        detail: str,
        retry: bool = False,
        retry_after_s: float | None = None,
        usage: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry = retry
        self.retry_after_s = retry_after_s
        self.usage = usage


class Client(Protocol):
    """Carries requests to the endpoint of one worker."""

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        """Make one attempt.

        Args:
            request: The call.
            timeout_s: Seconds after which the attempt is given up.

        Raises:
            CallError: The attempt failed; the message names no key.
            ConfigError: No attempt can succeed before a person repairs something (missing or wrong
                key, unknown model): the run must stop.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Tokens(Protocol):
    """Counts the tokens of one worker."""

    def count(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def cut(self, text: str, most: int) -> str:
        """The longest start of a text that has at most so many tokens."""
        ...

    def bound(self, messages: tuple[Message, ...]) -> int:
        """Tokens that these messages have at most, the chat's own marks included."""
        ...
