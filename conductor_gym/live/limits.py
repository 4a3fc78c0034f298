"""What a provider allows: calls at once, requests and tokens a minute."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

from conductor_gym.workers.endpoint import ProviderLimits

_MINUTE = 60.0


class Limits:
    """Limits of one provider, shared by all its workers; for one event loop.

    Requests go out evenly, at most those of one second at once: in no minute are there more than
    the limit plus one second's. Tokens may be used up at once and come back over a minute. The
    output tokens of a call are only known afterwards, so the calls after it wait for them.
    """

    def __init__(self, allowed: ProviderLimits) -> None:
        self._slots = asyncio.Semaphore(allowed.concurrent)
        self._requests: AsyncLimiter | None = None
        if allowed.requests_per_minute is not None:
            rate = allowed.requests_per_minute / _MINUTE
            at_once = max(1.0, rate)
            self._requests = AsyncLimiter(at_once, at_once / rate)
        self._tokens: AsyncLimiter | None = None
        if allowed.tokens_per_minute is not None:
            self._tokens = AsyncLimiter(allowed.tokens_per_minute, _MINUTE)
        self._owed = 0

    @asynccontextmanager
    async def slot(self, tokens_in: Callable[[], int]) -> AsyncGenerator[None]:
        """Wait until a call may go out, and hold its place among the calls at the same time.

        Args:
            tokens_in: Estimates its input tokens; asked only where tokens are limited.
        """
        async with self._slots:
            await self.again()
            if self._tokens is not None:
                wanted, self._owed = tokens_in() + self._owed, 0
                await self._tokens.acquire(min(wanted, self._tokens.max_rate))
            yield

    async def again(self) -> None:
        """Wait until one more request may go out: an attempt after the first one."""
        if self._requests is not None:
            await self._requests.acquire()

    def used(self, tokens_out: int) -> None:
        """Count the output tokens of a call that came back."""
        self._owed += tokens_out
