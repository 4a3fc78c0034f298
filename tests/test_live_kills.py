"""A live run that is killed again and again ends in the result of one that never was.

`make kills` kills more often: KILLS=20 by default.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from adding_server import LATENCY_S, AddingServer
from fault_server import MODEL
from reference_asker import live_pool
from text_suites import row, write_rows

from conductor_gym.live.journal_read import load_journal

KILLS = int(os.environ.get("CONDUCTOR_GYM_KILLS", "4"))
TASKS_PER_KILL = 10
MOST_CALLS = 20
"""Most calls that a run lives to send; each task takes at least two."""
STARTING_S = 3.0
COMMAND = (
    *("run", "--agent", "rules", "--pool", "trio.toml", "--backend", "live"),
    *("--suite", "sums.jsonl", "--budget-usd", "1", "--concurrent", "8"),
    *("--journal", "calls.jsonl"),
)
"""Solve, verify, revise: what is asked next follows from what was said."""


def _start(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "stderr.txt").open("ab") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "conductor_gym", *COMMAND],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=told,
        )


def _ends(folder: Path, run: subprocess.Popen[bytes]) -> None:
    assert run.wait(timeout=300 + 2 * KILLS) == 0, (folder / "stderr.txt").read_text()[-2000:]


def _result(folder: Path) -> dict[str, Any]:
    """The only result file, without what a clock measured and how clean the checkout is."""
    (path,) = (folder / "results" / "trio-sums.jsonl-test-live").glob("*.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    for name in ("wall_s", "built_s", "commit"):
        del result[name]
    for at in result["at"]:
        del at["latency_s"]
    return result


def _folder(path: Path, server: AddingServer) -> Path:
    path.mkdir()
    live_pool(path, base_url=server.url(), model=MODEL)
    tasks = range(8 + TASKS_PER_KILL * KILLS)
    write_rows(path / "sums.jsonl", [row(i, split="test", domain="math") for i in tasks])
    return path


def test_a_run_killed_at_random_moments_ends_in_the_same_result_and_pays_nothing_twice(
    tmp_path: Path,
):
    moments = random.Random(11)
    allowed: Counter[str] = Counter()
    with AddingServer() as server:
        whole = _folder(tmp_path / "whole", server)
        _ends(whole, _start(whole))
        at_once, server.seen = server.seen, Counter()
        assert set(at_once.values()) == {1}

        killed = _folder(tmp_path / "killed", server)
        journal = killed / "calls.jsonl"
        for _ in range(KILLS):
            run = _start(killed)
            if moments.random() < 0.2:
                time.sleep(moments.uniform(0.0, STARTING_S))  # while it starts
            else:
                calls = server.seen.total() + moments.randint(1, MOST_CALLS)
                while server.seen.total() < calls and run.poll() is None:
                    time.sleep(0.002)
                time.sleep(moments.uniform(0.0, LATENCY_S))
            run.kill()
            assert run.wait() == -9, "it ended before it was killed"
            if journal.exists():
                allowed.update(load_journal(journal).unanswered)
        before = server.seen.total()
        _ends(killed, _start(killed))
        assert server.seen.total() > before, "nothing was left for the last run"

    assert _result(killed) == _result(whole)
    assert set(server.seen) == set(at_once)
    again = server.seen - at_once
    assert again <= allowed, "asked again although its reply was in the journal"
    held = load_journal(journal)
    assert not held.unanswered
    paid = sum(reply.cost for reply in held.replies.values())
    assert paid == sum(_result(whole)["at"][0]["costs"])
    print(f"{KILLS} kills, {len(at_once)} calls, {again.total()} of them asked again")
