"""A run that is killed at any moment keeps every call that it was told is written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from journal_calls import HEADER, paths, reply, request

from conductor_gym.live.journal import Journal
from conductor_gym.live.journal_read import load_journal

KILLS = 20
WRITERS = """
import os, sys
from journal_calls import HEADER, reply, request
from conductor_gym.live.journal import Journal

def write(path, told, start):
    out = open(told, "ab", buffering=0)
    journal = Journal.open(path, HEADER)
    for i in range(start, start + 1_000_000):
        asked = request(i)
        journal.sent(asked, 5_000)
        out.write(b"sent %d\\n" % i)
        journal.replied(asked, reply(i, "text " * (i % 7 * 900)))  # some lines need many pages
        out.write(b"replied %d\\n" % i)
        journal.graded(asked.key, {"score": 1.0})
        out.write(b"graded %d\\n" % i)

for number, _ in enumerate(sys.stdin):
    child = os.fork()
    if child == 0:
        write(sys.argv[1], sys.argv[2], number * 1_000_000)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
"""Starts a writer for each line that it reads, says its pid, and when it has ended."""


def _acknowledged(told: Path) -> list[tuple[str, int]]:
    """What the writers said was written; a killed one may have said half a line."""
    whole = told.read_bytes().rpartition(b"\n")[0].decode()
    return [
        (what, int(i)) for what, _, i in (line.partition(" ") for line in whole.split("\n")) if i
    ]


def test_a_writer_killed_at_random_moments_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path, told = tmp_path / "run.jsonl", tmp_path / "told"
    told.touch()
    moments = random.Random(7)
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(path), str(told)],
        env=paths(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for _ in range(KILLS):
            writers.stdin.write("next\n")
            writers.stdin.flush()
            pid = int(writers.stdout.readline())
            time.sleep(moments.random() * 0.1)  # while it opens the journal, too
            os.kill(pid, signal.SIGKILL)
            assert writers.stdout.readline() == "ended\n"
        writers.stdin.close()
    _holds_all(path, _acknowledged(told))
    with Journal.open(path, HEADER) as journal:
        journal.replied(request(-1), reply(-1))
    assert load_journal(path).replies[request(-1).key] == reply(-1)


def _holds_all(path: Path, acknowledged: list[tuple[str, int]]) -> None:
    read: Any = load_journal(path)
    assert len(acknowledged) > KILLS
    for what, i in acknowledged:
        key = request(i).key
        assert read.requests[key] == request(i)
        if what == "replied":
            assert read.replies[key] == reply(i, "text " * (i % 7 * 900))
        if what == "graded":
            assert read.outcomes[key] == {"score": 1.0}
    assert len(read.warnings) <= KILLS, "at most the line that was being written"
    # Whatever was written beyond what was acknowledged is whole, too.
    assert len(read.unanswered) <= KILLS
    assert read.spent == sum(r.cost for r in read.replies.values()) + 5_000 * len(read.unanswered)
