"""One asynchronous dispatcher between episodes and live workers.

A call passes, in this order: the journal (what was answered is never asked again), the provider's
limits, the worker's circuit breaker, the spending ceiling. Then it is attempted until it succeeds,
cannot succeed or runs into its deadline. Its reply is billed and journalled before it is used.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Protocol, runtime_checkable

from conductor_gym.errors import ConfigError, WorkersDownError, unknown_name
from conductor_gym.live.attempts import Backoff, Call
from conductor_gym.live.breaker import Admission
from conductor_gym.live.lane import Lane
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.live.progress import Meter, Progress
from conductor_gym.live.spending import Spending
from conductor_gym.types import Status

_NOT_REACHED = (Status.UNAVAILABLE, Status.TIMEOUT)
_LOOK_AGAIN_S = 0.2


class Log(Protocol):
    """The journal, as the dispatcher uses it."""

    def reply_to(self, key: str) -> ChatReply | None:
        """The reply of an earlier call."""
        ...

    def sent(self, request: ChatRequest, worst_cost: int) -> None:
        """A call is about to be sent and may cost so many nano-USD."""
        ...

    def replied(self, request: ChatRequest, reply: ChatReply) -> None:
        """A call came back."""
        ...

    def dropped(self, request: ChatRequest) -> None:
        """A call that was sent ended without a reply and without a bill."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A client that can ask its endpoint whether calls will work."""

    async def preflight(self) -> None:
        """Raise ConfigError where they will not."""
        ...


class Dispatcher:
    """Carries calls to live workers; for one event loop.

    Attributes:
        sending: Whether calls may be sent. Where not, those that were not sent yet end as if they
            had been cancelled. May be set from another thread.
    """

    def __init__(
        self,
        workers: Mapping[str, Lane],
        journal: Log | None,
        spending: Spending,
        backoff: Backoff | None = None,
        seed: int | None = None,
        unanswered: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            workers: Lane by the worker's uid.
            journal: Where calls stand before their replies are used; None: nowhere.
            spending: The ceiling.
            unanswered: nano-USD by key that `spending` counts for calls which an earlier run sent
                and whose replies it did not live to see. Asked again, they are the same call.
            backoff: How attempts of a call are spaced.
            seed: Of the jitter between attempts; None: from the operating system.
        """
        self._lanes = dict(workers)
        self._journal = journal
        self._spending = spending
        self._backoff = backoff or Backoff()
        self._random = Random(seed)
        self._unanswered = dict(unanswered or {})
        self._flying: dict[str, asyncio.Future[ChatReply | None]] = {}
        self._meter = Meter()
        self._moved = asyncio.Event()
        self._down: str | None = None
        self.sending = True

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """Make a call, or give the reply that the journal holds. Equal calls are one call.

        Args:
            request: The call.
            worst_cost: nano-USD that one attempt may cost at most.

        Returns:
            The reply, whatever its status; it stands in the journal already.

        Raises:
            ConfigError: No call to this worker can succeed before somebody repairs something.
            SpendingCeilingError: The call may cost more than what is left.
            WorkersDownError: Every worker fails, and so did a trial after a pause.
            DataFileError: The journal cannot be written.
            UnknownNameError: No such worker.
        """
        key = request.key
        while (known := self._known(key)) is not None:
            reply = await asyncio.shield(known) if isinstance(known, asyncio.Future) else known
            if reply is not None:
                self._meter.cached += 1
                return reply
        lane = self._lanes.get(request.worker)
        if lane is None:
            raise unknown_name("live worker", request.worker, self._lanes)
        flying: asyncio.Future[ChatReply | None] = asyncio.get_running_loop().create_future()
        self._flying[key] = flying
        reply = None
        try:
            async with lane.limits.slot(lambda: lane.tokens_in(request)):
                reply = await self._guarded(lane, request, worst_cost)
            return reply
        finally:
            del self._flying[key]
            flying.set_result(reply)

    async def preflight(self) -> None:
        """Ask every endpoint that can be asked whether calls will work, before money is spent.

        Raises:
            ConfigError: An endpoint is unreachable, refuses the key or lacks the model. All clients
                are closed then.
        """
        clients = [lane.client for lane in self._lanes.values()]
        try:
            await asyncio.gather(*(c.preflight() for c in clients if isinstance(c, Checked)))
        except BaseException:
            await self.close()
            raise

    def progress(self) -> Progress:
        """How far the calls are."""
        return self._meter.read(self._spending.spent, self._spending.reserved)

    async def close(self) -> None:
        """Close all clients."""
        for lane in self._lanes.values():
            await lane.client.close()

    def _known(self, key: str) -> ChatReply | asyncio.Future[ChatReply | None] | None:
        """The reply to an equal call, or what will hold it (None if that call fails)."""
        reply = None if self._journal is None else self._journal.reply_to(key)
        return self._flying.get(key) if reply is None else reply

    async def _guarded(self, lane: Lane, request: ChatRequest, worst_cost: int) -> ChatReply:
        """A call behind its worker's circuit breaker and the ceiling."""
        admitted = await self._admitted(lane)
        if admitted is None:
            detail = "it failed again and again and is left alone for a while"
            reply = ChatReply(Status.UNAVAILABLE, "", tries=0, detail=detail)
            if self._journal is not None:
                self._journal.sent(request, 0)
            self._keep(request, reply)
            return reply
        last_hope = self._all_open()
        told = False
        try:
            await self._reserve(request.key, worst_cost)
            call = Call(lane, request, worst_cost, self._spending, self._backoff, self._random)
            self._meter.in_flight += 1
            try:
                if self._journal is not None:
                    self._journal.sent(request, worst_cost)
                reply = await call.run()
                reached = reply.status not in _NOT_REACHED
                lane.breaker.report(admitted, reached)
                told = True
                if last_hope and not reached and self._all_open():
                    self._down = self._explain(request.worker, reply)
                    raise WorkersDownError(self._down)
                self._keep(request, reply)
            except (ConfigError, WorkersDownError):
                if self._journal is not None and call.cost == 0:
                    self._journal.dropped(request)
                raise
            except asyncio.CancelledError:
                self._unanswered[request.key] = call.cost
                raise
            finally:
                self._meter.in_flight -= 1
                self._spending.settle(call.reserved, call.cost)
        finally:
            if not told:
                lane.breaker.release(admitted)
            self._moved.set()
        return reply

    async def _admitted(self, lane: Lane) -> Admission | None:
        """Pass the breaker; None where the worker is left alone and others are not."""
        while True:
            if not self.sending:
                raise asyncio.CancelledError
            if self._down is not None:
                raise WorkersDownError(self._down)
            admitted = lane.breaker.admit()
            if admitted is not None or not self._all_open():
                return admitted
            # With no worker left, a failed call would only spoil the episode: wait for a trial.
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), max(lane.breaker.due_s, _LOOK_AGAIN_S))

    async def _reserve(self, key: str, worst_cost: int) -> None:
        """Reserve money for a call that will be sent; what it may have cost before counts no more.

        Raises:
            SpendingCeilingError: It may cost more than what is left.
        """
        before = self._unanswered.pop(key, 0)
        self._spending.settle(0, -before)
        try:
            await self._spending.reserve(worst_cost)
            if not self.sending:
                self._spending.settle(worst_cost, 0)
                raise asyncio.CancelledError
        except BaseException:
            self._spending.settle(0, before)
            self._unanswered[key] = before
            raise

    def _keep(self, request: ChatRequest, reply: ChatReply) -> None:
        if self._journal is not None:
            self._journal.replied(request, reply)
        self._meter.came_back(reply.status)

    def _all_open(self) -> bool:
        return all(lane.breaker.is_open for lane in self._lanes.values())

    def _explain(self, worker: str, reply: ChatReply) -> str:
        return (
            f"no worker can be reached: {', '.join(self._lanes)} failed again and again, and so "
            f"did a trial of {worker} after a pause ({reply.detail}). What was answered is in the "
            "journal. Repair the servers or the network and run the same command again."
        )
