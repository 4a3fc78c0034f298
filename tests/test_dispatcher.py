"""The discipline of live calls: the ceiling, the journal, limits, the breaker, cancelled calls."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from fault_server import FaultServer
from hypothesis import given, settings
from hypothesis import strategies as st
from live_calls import (
    PRICE_IN,
    QUICK,
    WORST,
    Memory,
    asked,
    dispatcher,
    lane,
    openai_client,
    request,
    run,
)

from conductor_gym.errors import (
    ConfigError,
    DataFileError,
    SpendingCeilingError,
    UnknownNameError,
    WorkersDownError,
)
from conductor_gym.live.attempts import Backoff
from conductor_gym.live.breaker import Breaker
from conductor_gym.live.dispatcher import Dispatcher
from conductor_gym.live.messages import CallError, ChatReply, ChatRequest, Completion
from conductor_gym.live.spending import Spending
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import ProviderLimits


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


class Till:
    """Bills what it likes, in any order, and watches the money."""

    def __init__(self, bills: list[int], spending: Spending, seed: int) -> None:
        self._bills = bills
        self._spending = spending
        self._random = Random(seed)
        self.charged = 0

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        for _ in range(self._random.randrange(3)):
            await asyncio.sleep(0)
            self.watch()
        tokens = self._bills[int(request.messages[0].content)]
        failed = self._random.random()
        if failed < 0.1:
            raise CallError(Status.UNAVAILABLE, "not billed", retry=True)
        self.charged += tokens
        if failed < 0.2:
            raise CallError(Status.UNAVAILABLE, "billed", retry=True, usage=(tokens, 0))
        return Completion("ok", tokens, 0)

    def watch(self) -> None:
        ceiling = self._spending.ceiling
        assert ceiling is not None
        assert self._spending.spent + self._spending.reserved <= ceiling
        assert self._spending.reserved >= 0

    async def close(self) -> None:
        pass


@settings(max_examples=30, deadline=None)
@given(
    bills=st.lists(st.integers(1, 1_000), min_size=64, max_size=64),
    ceiling=st.integers(0, 70_000),
    seed=st.integers(0, 2**32),
)
def test_the_ceiling_is_never_passed_by_64_calls_at_once(bills: list[int], ceiling: int, seed: int):
    spending = Spending(ceiling)
    till = Till(bills, spending, seed)
    one = lane(till)
    of = Dispatcher({"w": one}, None, spending, Backoff(1e-6, 1e-6, 3), seed=seed)
    price = PRICE_IN // 1_000
    # The worst price of a call is its own bill or more.
    worst = [bill + (seed + k) % 200 for k, bill in enumerate(bills)]

    async def all_at_once() -> list[ChatReply | BaseException]:
        calls = [of.ask(request(str(k)), worst[k] * price) for k in range(64)]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = run(all_at_once())
    till.watch()
    assert spending.reserved == 0
    assert spending.spent == till.charged * price <= ceiling
    refused = [k for k, result in enumerate(results) if isinstance(result, BaseException)]
    for k in refused:
        assert isinstance(results[k], SpendingCeilingError), results[k]
        assert spending.spent + worst[k] * price > ceiling
    billed = sum(result.cost for result in results if isinstance(result, ChatReply))
    assert billed == spending.spent


def test_the_ceiling_says_what_is_spent_and_how_to_go_on(server: FaultServer):
    of = dispatcher(lane(openai_client(server.url())), ceiling=1_010)

    async def two() -> None:
        try:
            assert (await of.ask(request("first"), WORST)).cost == 20
            with pytest.raises(SpendingCeilingError) as error:
                await of.ask(request("second"), WORST)
        finally:
            await of.close()
        for words in ("0.00000002 USD", "0.000001 USD", "0.00000101 USD", "nothing is paid twice"):
            assert words in str(error.value)

    run(two())
    assert server.seen[request("second").key] == 0


def test_a_call_waits_where_only_reservations_stand_in_its_way(server: FaultServer):
    of = dispatcher(lane(openai_client(server.url())), ceiling=WORST + 7 * 20)
    replies = run(asked(of, *(request(f"wait {k}") for k in range(8))))
    assert [r.status for r in replies if isinstance(r, ChatReply)] == [Status.OK] * 8
    assert of.progress().spent == 8 * 20


def test_cancelled_calls_leave_no_reservation_and_count_what_they_may_have_cost():
    with FaultServer() as server:
        journal = Memory()
        of = dispatcher(lane(openai_client(server.url("hang", times=1)), 30.0), journal)

        async def cancel() -> ChatReply:
            tasks = [asyncio.create_task(of.ask(request(str(k)), WORST)) for k in range(8)]
            while server.seen.total() < 8:
                await asyncio.sleep(0.01)
            assert (of.progress().in_flight, of.progress().reserved) == (8, 8 * WORST)
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(d, asyncio.CancelledError) for d in done)
            assert (of.progress().in_flight, of.progress().reserved) == (0, 0)
            assert of.progress().spent == 8 * WORST
            assert len(journal.open) == 8
            assert journal.replies == {}
            try:
                return await of.ask(request("3"), WORST)
            finally:
                await of.close()

        assert run(cancel()).status == Status.OK
        assert of.progress().spent == 7 * WORST + 20


def test_a_call_that_a_killed_run_sent_counts_once_when_it_is_asked_again(server: FaultServer):
    lost, other = request("lost"), request("lost, not asked again")
    spending = Spending(2 * WORST + 20, spent=2 * WORST)
    unanswered = {lost.key: WORST, other.key: WORST}
    lanes = {"w": lane(openai_client(server.url()))}
    of = Dispatcher(lanes, None, spending, unanswered=unanswered)
    (reply,) = run(asked(of, lost))
    assert isinstance(reply, ChatReply)
    assert spending.spent == WORST + 20


def test_equal_calls_are_one_call_and_what_was_answered_is_never_asked_again():
    with FaultServer(latency_s=0.1) as server:
        journal = Memory()
        of = dispatcher(lane(openai_client(server.url())), journal)
        first, *others = run(asked(of, *[request("same")] * 20))
        assert isinstance(first, ChatReply)
        assert all(other == first for other in others)
        progress = of.progress()
        assert (progress.calls, progress.cached, progress.spent) == (1, 19, first.cost)

        again = dispatcher(lane(openai_client(server.url())), journal, ceiling=0)
        assert run(asked(again, request("same"))) == [first]
        assert (again.progress().calls, again.progress().cached) == (0, 1)
        assert server.seen.total() == 1


def test_who_waits_for_an_equal_call_takes_over_when_that_is_cancelled():
    with FaultServer(latency_s=0.2) as server:
        of = dispatcher(lane(openai_client(server.url())))

        async def take_over() -> ChatReply:
            tasks = [asyncio.create_task(of.ask(request("same"), WORST)) for _ in range(3)]
            await asyncio.sleep(0.05)
            tasks[0].cancel()
            tasks[1].cancel()
            try:
                return await tasks[2]
            finally:
                await of.close()

        assert run(take_over()).status == Status.OK


class Full(Memory):
    """A journal on a disk that is full when a reply comes back."""

    def replied(self, request: ChatRequest, reply: ChatReply) -> None:
        raise DataFileError("the disk is full")


def test_a_reply_that_cannot_be_journalled_is_not_used_but_stays_paid(server: FaultServer):
    of = dispatcher(lane(openai_client(server.url())), Full())
    (reply,) = run(asked(of, request("full")))
    assert isinstance(reply, DataFileError)
    assert (of.progress().spent, of.progress().reserved) == (20, 0)


def test_a_thousand_calls_at_once_all_come_back():
    with FaultServer(latency_s=0.05) as server:
        journal = Memory()
        of = dispatcher(lane(openai_client(server.url()), 30.0), journal)
        replies = run(asked(of, *(request(f"call {k}") for k in range(1_000))))
        for k, reply in enumerate(replies):
            assert isinstance(reply, ChatReply)
            assert (reply.status, reply.text) == (Status.OK, f"call {k}")
        assert len(journal.replies) == 1_000
        assert server.seen.total() == 1_000
        assert of.progress().spent == 1_000 * 20


def test_calls_at_the_same_time_stay_within_the_limit_of_their_provider():
    with FaultServer(latency_s=0.02) as server:
        one = lane(openai_client(server.url()), allowed=ProviderLimits(concurrent=5))
        two = lane(openai_client(server.url(), "v"))
        both = {"w": one, "v": replace(two, limits=one.limits)}
        calls = [request(str(k), worker) for k in range(15) for worker in both]
        replies = run(asked(dispatcher(both), *calls))
        assert all(isinstance(reply, ChatReply) for reply in replies)
        assert server.most_at_once == 5


@pytest.mark.parametrize(
    "allowed",
    [
        ProviderLimits(requests_per_minute=1_200.0),  # 20 a second, 20 at once
        ProviderLimits(tokens_per_minute=600.0),  # 10 a second, 600 at once
    ],
)
def test_requests_and_tokens_a_minute_are_kept(server: FaultServer, allowed: ProviderLimits):
    """30 requests: ten wait for half a second. 620 tokens: the last 20 come in two seconds."""
    of = dispatcher(lane(openai_client(server.url()), allowed=allowed))
    long = "x" * (4 * 31) if allowed.tokens_per_minute else ""
    started = time.monotonic()
    count = 20 if allowed.tokens_per_minute else 30
    replies = run(asked(of, *(request(f"{k:02}{long[2:]}") for k in range(count))))
    seconds = time.monotonic() - started
    assert [r.status for r in replies if isinstance(r, ChatReply)] == [Status.OK] * count
    assert seconds >= 0.45
    # Waiting for our own limits is not the worker's latency: the last call waited for most of it.
    assert all(r.latency < 0.9e6 * seconds for r in replies if isinstance(r, ChatReply))


def test_a_failing_worker_is_left_alone_and_recovers():
    with FaultServer() as bad, FaultServer() as good:
        bad.down = True
        lanes = {
            "bad": lane(openai_client(bad.url(), "bad"), breaker=Breaker(3, 0.3)),
            "good": lane(openai_client(good.url(), "good")),
        }
        journal = Memory()
        of = dispatcher(lanes, journal, backoff=Backoff(0.01, 0.01, 2))

        async def one_after_another(count: int) -> list[ChatReply]:
            return [
                await of.ask(request(str(len(journal.lines)), "bad"), WORST) for _ in range(count)
            ]

        async def play() -> None:
            try:
                tries = [reply.tries for reply in await one_after_another(5)]
                assert tries == [2, 2, 2, 0, 0]
                assert (await of.ask(request("x", "good"), WORST)).status == Status.OK
                await asyncio.sleep(0.35)
                (trial,) = await one_after_another(1)  # still down: open for another while
                assert (trial.status, trial.tries) == (Status.UNAVAILABLE, 2)
                assert (await one_after_another(1))[0].tries == 0
                bad.down = False
                await asyncio.sleep(0.35)
                assert [r.status for r in await one_after_another(3)] == [Status.OK] * 3
            finally:
                await of.close()

        run(play())
        failed = of.progress().failed
        assert failed == {Status.UNAVAILABLE: 7}
        assert journal.open == {}


def test_where_all_workers_fail_calls_wait_for_the_first_that_recovers():
    with FaultServer() as server:
        server.down = True
        one = lane(openai_client(server.url()), breaker=Breaker(2, 0.4))
        of = dispatcher(one, backoff=Backoff(0.01, 0.01, 2))

        async def play() -> list[ChatReply]:
            for k in range(2):
                assert (await of.ask(request(str(k)), WORST)).status == Status.UNAVAILABLE
            waiting = [asyncio.create_task(of.ask(request(f"w{k}"), WORST)) for k in range(10)]
            await asyncio.sleep(0)
            server.down = False
            try:
                return list(await asyncio.gather(*waiting))
            finally:
                await of.close()

        assert [reply.status for reply in run(play())] == [Status.OK] * 10


def test_where_the_trial_fails_too_the_run_stops_and_keeps_what_it_has():
    with FaultServer() as server:
        journal = Memory()
        lanes = {
            name: lane(openai_client(server.url(), name), breaker=Breaker(2, 0.3))
            for name in ("a", "b")
        }
        of = dispatcher(lanes, journal, backoff=Backoff(0.01, 0.01, 2))

        async def play() -> list[ChatReply | BaseException]:
            await of.ask(request("before", "a"), WORST)
            server.down = True
            for k in range(2):
                for name in lanes:
                    await of.ask(request(str(k), name), WORST)
            return await asked(of, *(request(f"w{k}", name) for k in range(5) for name in lanes))

        errors = run(play())
        for error in errors:
            assert isinstance(error, WorkersDownError)
        assert "a, b" in str(errors[0])
        assert "run the same command again" in str(errors[0])
        assert [r.status for r in journal.replies.values()].count(Status.UNAVAILABLE) == 4
        assert len(journal.replies) == 5
        assert journal.open == {}
        assert of.progress().reserved == 0


def test_a_cancelled_trial_leaves_the_way_free_for_the_next():
    with FaultServer() as server:
        server.down = True
        breaker = Breaker(1, 0.1)
        of = dispatcher(lane(openai_client(server.url()), breaker=breaker), backoff=QUICK)

        async def play() -> ChatReply:
            await of.ask(request("opens"), WORST)
            assert breaker.is_open
            server.down, server.latency_s = False, 3600.0
            trial = asyncio.create_task(of.ask(request("trial"), WORST))
            while not server.seen[request("trial").key]:
                await asyncio.sleep(0.01)
            trial.cancel()
            await asyncio.wait([trial])
            server.latency_s = 0.0
            try:
                return await of.ask(request("next"), WORST)
            finally:
                await of.close()

        assert run(play()).status == Status.OK
        assert not breaker.is_open


def test_one_wrong_worker_name_is_told_with_those_there_are(server: FaultServer):
    (error,) = run(asked(dispatcher(lane(openai_client(server.url()))), request("x", "v")))
    assert isinstance(error, UnknownNameError)
    assert "Known: w." in str(error)


def test_a_wrong_key_does_not_hold_up_the_breaker(server: FaultServer):
    breaker = Breaker(1, 60.0)
    of = dispatcher(lane(openai_client(server.url("locked")), breaker=breaker))
    errors = run(asked(of, request("a"), request("b")))
    assert [type(error) for error in errors] == [ConfigError] * 2
    assert not breaker.is_open
