"""A run that is killed at any moment keeps every call that it was told is written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from journal_calls import HEADER, reply, request

from conductor_gym.live.journal import Journal
from conductor_gym.live.journal_read import load_journal

KILLS = 20
TESTS = Path(__file__).parent
WRITER = """
import sys
from journal_calls import HEADER, reply, request
from conductor_gym.live.journal import Journal
path, start = sys.argv[1], int(sys.argv[2])
out = open(sys.argv[3], "ab", buffering=0)
journal = Journal.open(path, HEADER)
out.write(b"open\\n")
for i in range(start, start + 1_000_000):
    long = "text " * (i % 7 * 900)  # some lines need many pages
    asked = request(i)
    journal.sent(asked, 5_000)
    out.write(b"sent %d\\n" % i)
    journal.replied(asked, reply(i, long))
    out.write(b"replied %d\\n" % i)
    journal.graded(asked.key, {"score": 1.0})
    out.write(b"graded %d\\n" % i)
"""


def _start(*words: str) -> "subprocess.Popen[bytes]":
    where = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    command = [sys.executable, "-c", WRITER, *words]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": where})


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
    for kill in range(KILLS):
        before = told.stat().st_size
        writer = _start(str(path), str(kill * 1_000_000), str(told))
        deadline = time.monotonic() + 30
        while told.stat().st_size == before:  # the first half of its life is Python's start
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moments.random() * 0.05)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
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


def test_a_writer_killed_while_it_opens_leaves_a_journal(tmp_path: Path) -> None:
    path, told = tmp_path / "run.jsonl", tmp_path / "told"
    told.touch()
    writer = _start(str(path), "0", str(told))
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with Journal.open(path, HEADER) as journal:
        journal.replied(request(0), reply(0))
    read = load_journal(path)
    assert read.header["pool"] == "small"
    assert read.replies[request(0).key] == reply(0)
