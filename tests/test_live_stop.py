"""A stop sends nothing more, keeps what is paid for, and does not last for ever."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from adding_server import AddingServer
from fault_server import MODEL, FaultServer
from live_calls import QUICK, WORST, Memory, lane, openai_client, request, run
from reference_asker import live_pool
from text_suites import row, write_rows

from conductor_gym.live.dispatcher import Dispatcher
from conductor_gym.live.journal_read import load_journal
from conductor_gym.live.messages import ChatReply
from conductor_gym.live.spending import Spending
from conductor_gym.workers.endpoint import ProviderLimits

RUN = (
    *("run", "--agent", "rules", "--pool", "trio.toml", "--suite", "sums.jsonl"),
    *("--backend", "live", "--budget-usd", "1", "--journal", "calls.jsonl"),
)


def test_what_was_not_sent_before_a_stop_is_not_sent_and_costs_nothing():
    with FaultServer(latency_s=0.5) as server:
        journal, spending = Memory(), Spending(10 * WORST, spent=3 * WORST)
        calls = [request(str(k)) for k in range(4)]
        of = Dispatcher(
            {"w": lane(openai_client(server.url()), allowed=ProviderLimits(concurrent=1))},
            journal,
            spending,
            QUICK,
            unanswered={call.key: WORST for call in calls[1:]},  # an earlier run was killed there
        )

        async def stop() -> list[ChatReply | BaseException]:
            asking = [asyncio.ensure_future(of.ask(call, WORST)) for call in calls]
            while not server.seen:
                await asyncio.sleep(0.01)
            of.sending = False
            told = await asyncio.gather(*asking, return_exceptions=True)
            assert spending.spent == 3 * WORST + journal.replies[calls[0].key].cost
            assert spending.reserved == 0
            of.sending = True
            assert isinstance(await of.ask(calls[1], WORST), ChatReply)
            await of.close()
            return told

        first, *others = run(stop())
        assert isinstance(first, ChatReply)
        assert all(isinstance(other, asyncio.CancelledError) for other in others)
        assert set(server.seen) == {calls[0].key, calls[1].key}
        assert not journal.open


def stopped(url: str, folder: Path, server: FaultServer, times: int) -> tuple[int, str]:
    """Exit code and messages of a run that gets so many Ctrl-C once calls are under way."""
    live_pool(folder, url, MODEL)
    with subprocess.Popen(
        [sys.executable, "-m", "conductor_gym", *RUN],
        cwd=folder,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        text=True,
    ) as process:
        assert process.stderr is not None
        until = time.monotonic() + 300
        while server.seen.total() < 6 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = ""
        if times > 1:
            while "waiting for the replies" not in said:
                said += process.stderr.readline()
            process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        return process.wait(60), said


def test_ctrl_c_waits_for_what_is_paid_and_a_second_one_does_not(tmp_path: Path):
    write_rows(tmp_path / "sums.jsonl", [row(i, split="test", domain="math") for i in range(6)])
    with AddingServer(latency_s=2.5) as slow:
        code, said = stopped(slow.url(), tmp_path, slow, 1)
        assert code == 130, said
        assert "waiting for the replies to 6 calls" in said
        held = load_journal(tmp_path / "calls.jsonl")
        assert len(held.replies) == slow.seen.total() == 6
        assert not held.unanswered
    with AddingServer() as silent:
        (tmp_path / "calls.jsonl").unlink()
        code, said = stopped(silent.url("hang"), tmp_path, silent, 2)
        assert code == 130, said
        assert "Traceback" not in said
        assert len(load_journal(tmp_path / "calls.jsonl").unanswered) == 6
