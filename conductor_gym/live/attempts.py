"""One call: attempts until it succeeds, cannot succeed or runs into its deadline."""

import asyncio
from random import Random
from typing import NamedTuple

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
)

from conductor_gym.live.lane import Lane
from conductor_gym.live.messages import CallError, ChatReply, ChatRequest, Completion
from conductor_gym.live.spending import Spending
from conductor_gym.types import MICROSECONDS, Status


class Backoff(NamedTuple):
    """How attempts of one call are spaced: exponential, with full jitter.

    Attributes:
        first_s: Longest pause after the first attempt, in seconds; it doubles from then on.
        most_s: Longest pause.
        tries: Most attempts.
    """

    first_s: float = 0.5
    most_s: float = 20.0
    tries: int = 8


class Call:
    """One call under way, its worst price reserved."""

    def __init__(
        self,
        lane: Lane,
        request: ChatRequest,
        worst_cost: int,
        spending: Spending,
        backoff: Backoff,
        random: Random,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            lane: The worker.
            request: The call.
            worst_cost: nano-USD, reserved already.
            spending: Where it was reserved.
            backoff: How attempts are spaced.
            random: Of the jitter.
        """
        self._lane = lane
        self._request = request
        self._worst_cost = worst_cost
        self._spending = spending
        self._backoff = backoff
        self._random = random
        self._high = wait_exponential(multiplier=backoff.first_s, max=backoff.most_s)
        self._tries = 0
        self._tokens_in = 0
        self._tokens_out = 0
        self._in_flight = False
        self._deadline = 0.0
        self.reserved = worst_cost

    @property
    def cost(self) -> int:
        """nano-USD billed; an attempt that was cut off counts with its worst price."""
        billed = self._lane.cost(self._tokens_in, self._tokens_out)
        return billed + self._worst_cost if self._in_flight else billed

    async def run(self) -> ChatReply:
        """Make attempts until one counts.

        Raises:
            ConfigError: No attempt can succeed.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._deadline = started + self._lane.deadline_s
        text, counted = "", False
        try:
            async with asyncio.timeout_at(self._deadline):
                completion = await self._first_success()
            status = Status.REFUSED if completion.refused else Status.OK
            detail = "withheld by the provider" if completion.refused else ""
            text = "" if completion.refused else completion.text
            counted = self._bill(completion)
        except CallError as error:
            status, detail = error.status, error.detail
        except TimeoutError:
            status, detail = Status.TIMEOUT, f"no reply within {self._lane.deadline_s:g} s"
        self._in_flight = False
        return ChatReply(
            status,
            text,
            self._tokens_in,
            self._tokens_out,
            self.cost,
            round((loop.time() - started) * MICROSECONDS),
            self._tries,
            counted,
            detail,
        )

    async def _first_success(self) -> Completion:
        retrying = AsyncRetrying(
            sleep=asyncio.sleep,
            stop=stop_after_attempt(self._backoff.tries) | stop_before_delay(self._lane.deadline_s),
            wait=self._pause_s,
            retry=retry_if_exception(self._may_repeat),
            reraise=True,
        )
        return await retrying(self._attempt)

    async def _attempt(self) -> Completion:
        if self._tries:
            await self._lane.limits.again()
        self._tries += 1
        self._in_flight = True
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            completion = await self._lane.client.send(self._request, max(left, 0.0))
        except asyncio.CancelledError:
            raise
        except Exception:
            self._in_flight = False
            raise
        self._in_flight = False
        return completion

    def _pause_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, CallError) else None
        return (asked or 0.0) + self._random.uniform(0.0, self._high(state))

    def _may_repeat(self, error: BaseException) -> bool:
        if not isinstance(error, CallError):
            return False
        if error.usage is None:
            return error.retry
        self._tokens_in += error.usage[0]
        self._tokens_out += error.usage[1]
        # It was billed. What comes next may cost as much again, and needs money of its own.
        if not error.retry or not self._spending.try_reserve(self._worst_cost):
            return False
        self.reserved += self._worst_cost
        return True

    def _bill(self, completion: Completion) -> bool:
        """Add up tokens; whether any were counted here."""
        tokens_in, tokens_out = completion.tokens_in, completion.tokens_out
        counted = tokens_in is None or tokens_out is None
        if counted and completion.refused:
            return False
        if tokens_in is None:
            tokens_in = self._lane.tokens_in(self._request)
        if tokens_out is None:
            tokens_out = self._lane.tokens_out(completion.text)
        self._tokens_in += tokens_in
        self._tokens_out += tokens_out
        self._lane.limits.used(tokens_out)
        return counted
