"""What calls to one worker go through."""

from dataclasses import dataclass

from conductor_gym.live.breaker import Breaker
from conductor_gym.live.limits import Limits
from conductor_gym.live.messages import ChatRequest, Client, Tokens

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Lane:
    """One worker as the dispatcher sees it.

    Attributes:
        client: Carries calls.
        price_in: nano-USD per 1,000 input tokens.
        price_out: nano-USD per 1,000 output tokens.
        deadline_s: Seconds after which a call is a timeout, all its attempts together.
        limits: Of its provider, shared with the provider's other workers.
        breaker: Its own.
        tokens: Counts tokens where a reply does not state them; None: four characters each.
    """

    client: Client
    price_in: int
    price_out: int
    deadline_s: float
    limits: Limits
    breaker: Breaker
    tokens: Tokens | None = None

    def tokens_in(self, request: ChatRequest) -> int:
        """Input tokens of a request, counted here."""
        if self.tokens is not None:
            return self.tokens.bound(request.messages)
        return _estimate(sum(len(message.content) for message in request.messages))

    def tokens_out(self, text: str) -> int:
        """Output tokens of a reply, counted here."""
        return self.tokens.count(text) if self.tokens is not None else _estimate(len(text))

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """nano-USD of a call, rounded half up."""
        return (tokens_in * self.price_in + tokens_out * self.price_out + 500) // 1000


def _estimate(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
