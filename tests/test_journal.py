"""A journal gives back what was written and says what it lost."""

import gzip
import os
import re
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_calls import HEADER, reply, request, run_python, write_journal

from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.live.journal import Journal
from conductor_gym.live.journal_read import Calls, load_journal
from conductor_gym.live.messages import ChatReply
from conductor_gym.recordings.journal_lines import is_journal
from conductor_gym.types import Status

CALLS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal of some calls."""
    return write_journal(tmp_path_factory.mktemp("whole") / "run.jsonl", CALLS).read_bytes()


def facts(calls: Calls) -> dict[str, object]:
    """Everything that a journal tells, one entry a line."""
    told: dict[str, object] = {f"sent {key}": cost for key, cost in calls.worst.items()}
    told |= {f"reply {key}": found for key, found in calls.replies.items()}
    return told | {f"graded {key}": found for key, found in calls.outcomes.items()}


def test_what_was_written_is_read_back_and_asked_for_by_key(tmp_path: Path) -> None:
    path = write_journal(tmp_path / "made" / "run.jsonl", CALLS)
    read = load_journal(path)
    assert read.warnings == ()
    assert read.header.items() >= HEADER.items()
    for i in range(CALLS):
        asked = request(i)
        assert read.requests[asked.key] == asked
        assert read.replies[asked.key] == reply(i)
        assert read.outcomes[asked.key]["answer"] == i + 1
    with Journal.open(path, HEADER) as journal:
        assert journal.reply_to(request(0).key) == reply(0)
        assert journal.reply_to(request(0, attempt=1).key) is None
    assert is_journal(path)
    assert os.listdir(path.parent) == ["run.jsonl"], "the ballast goes with the run"


@given(
    found=st.builds(
        ChatReply,
        st.sampled_from(Status),
        st.text(alphabet=st.characters(codec=None)),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**12),
        st.integers(0, 10**11),
        st.integers(0, 9),
        st.booleans(),
        st.text(),
    )
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_reply_is_read_back_as_it_was(tmp_path: Path, found: ChatReply) -> None:
    path = tmp_path / "run.jsonl"
    path.unlink(missing_ok=True)
    with Journal.open(path, HEADER) as journal:
        journal.replied(request(0), found)
    assert load_journal(path).replies == {request(0).key: found}
    assert path.read_bytes().count(b"\n") == 2


def test_a_request_is_written_once_however_often_it_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        with Journal.open(path, HEADER) as journal:
            journal.sent(request(0), 5_000)
            journal.replied(request(0), reply(0))
            journal.graded(request(0).key, {"status": "ok", "score": 1.0})
    text = path.read_text()
    assert text.count('"messages"') == 1
    assert text.count('"kind":"graded"') == 1, "an equal grade is not written again"
    assert text.count('"kind":"header"') == 1


def test_spent_counts_bills_and_the_worst_price_of_calls_without_a_reply(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal.open(path, HEADER) as journal:
        for i in range(3):
            journal.sent(request(i), 5_000)
        assert journal.spent == 15_000
        journal.replied(request(1), reply(1))
        assert journal.spent == 5_000 + 1_001 + 5_000
    with Journal.open(path, HEADER) as journal:
        assert journal.unanswered == (request(0).key, request(2).key)
        assert journal.spent == load_journal(path).spent == 11_001
        journal.sent(request(0), 5_000)
        assert journal.spent == 11_001, "the same call again"
        journal.replied(request(0), reply(0))
        assert journal.spent == 1_000 + 1_001 + 5_000
        assert journal.unanswered == load_journal(path).unanswered == (request(2).key,)


def test_a_call_that_was_dropped_is_neither_spent_nor_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal.open(path, HEADER) as journal:
        journal.sent(request(0), 5_000)
        journal.dropped(request(0))
        assert (journal.spent, journal.unanswered) == (0, ())
    with Journal.open(path, HEADER) as journal:
        assert (journal.spent, journal.unanswered) == (0, ())
        journal.sent(request(0), 5_000)
    assert load_journal(path).spent == 5_000


@pytest.mark.parametrize("change", [{"pool_hash": "cd34"}, {"suite": "mine"}, {"split": "dev"}])
def test_the_journal_of_another_run_is_refused_and_left_alone(
    tmp_path: Path, change: dict[str, str]
) -> None:
    path = write_journal(tmp_path / "run.jsonl", 1)
    before = path.read_bytes()
    ((name, value),) = change.items()
    with pytest.raises(ConfigError, match=rf"{name} is .* there and '{value}' now.*another file"):
        Journal.open(path, HEADER | change)
    assert path.read_bytes() == before
    Journal.open(path, {**HEADER, "version": "99"}).close()


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name, content in {
        "tasks.jsonl": b'{"prompt": "x"}\n',
        "cut.jsonl": b"uid,score",
        "late.jsonl": b'{"kind":"header","format":1,"sum":"00000000"}\n',
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"no journal.*another file"):
            Journal.open(path, HEADER)
        assert path.read_bytes() == content
    with pytest.raises(ConfigError, match=r"must end in \.jsonl"):
        Journal.open(tmp_path / "run.csv", HEADER)
    with pytest.raises(DataFileError, match="cannot be read"):
        load_journal(tmp_path / "nothing.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataFileError, match="cannot be written"):
        Journal.open(tmp_path / "folder.jsonl", HEADER)


def test_a_journal_of_a_later_format_says_so(tmp_path: Path) -> None:
    from conductor_gym.recordings.journal_lines import to_line

    path = tmp_path / "run.jsonl"
    path.write_bytes(to_line({"kind": "header", "format": 2}))
    with pytest.raises(DataFileError, match="format 2, this version reads format 1"):
        load_journal(path)


@given(cut=st.integers(0, 10_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_cut_at_any_byte_opens_says_so_and_goes_on(
    tmp_path: Path, whole: bytes, cut: int
) -> None:
    cut %= len(whole)
    path = tmp_path / "run.jsonl"
    path.write_bytes(whole[:cut])
    ends = [m.end() for m in re.finditer(rb"\n", whole)]
    # A line without its newline only is whole.
    kept = sum(end - 1 <= cut for end in ends)
    with Journal.open(path, HEADER) as journal:
        assert bool(journal.warnings) == (cut not in ends and cut + 1 not in ends and cut > 0)
        assert all("cut off" in text and "asked again" in text for text in journal.warnings)
        journal.replied(request(99), reply(99))
    read = load_journal(path)
    assert path.read_bytes().startswith(whole[:cut]), "never rewritten"
    assert len(facts(read)) == max(0, kept - 1) + 1
    assert read.replies[request(99).key] == reply(99)
    assert read.header["suite"] == "core-v1"


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_loses_at_most_its_line_and_says_so(
    tmp_path: Path, whole: bytes, at: int, bit: int
) -> None:
    at %= len(whole)
    path = tmp_path / "run.jsonl"
    damaged = bytearray(whole)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    calls = load_journal(path)
    before, after = facts(_read(tmp_path, whole)), facts(calls)
    assert after.items() <= before.items(), "nothing is made up"
    line = whole.count(b"\n", 0, at) + 1
    is_end = whole[at : at + 1] == b"\n"
    lost = len(before) - len(after)
    assert lost == (0 if is_end or line == 1 else 1)
    if not is_end:
        assert any(f"line {line}:" in text for text in calls.warnings)
    with Journal.open(path, HEADER) as journal:
        journal.replied(request(99), reply(99))
    assert facts(load_journal(path)) == {**after, f"reply {request(99).key}": reply(99)}


def _read(folder: Path, content: bytes) -> Calls:
    path = folder / "read.jsonl"
    path.write_bytes(content)
    return load_journal(path)


def test_every_bit_of_a_reply_is_guarded(tmp_path: Path, whole: bytes) -> None:
    lines = whole.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"kind":"reply"' in line)
    for byte in range(len(lines[at]) - 1):
        damaged = bytearray(lines[at])
        damaged[byte] ^= 1
        read = _read(tmp_path, b"".join([*lines[:at], bytes(damaged), *lines[at + 1 :]]))
        assert len(read.replies) == CALLS - 1
        assert len(read.requests) == CALLS


def test_warnings_of_a_file_that_is_badly_damaged_are_few(tmp_path: Path, whole: bytes) -> None:
    first, *rest = whole.splitlines(keepends=True)
    read = _read(tmp_path, first + b"".join(b"x" + line[:50] + b"\n" for line in rest * 5))
    assert len(read.warnings) == 11
    assert "50 more lines" in read.warnings[-1]


def test_a_compressed_journal_is_read_and_not_written(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(whole))
    assert facts(load_journal(path)) == facts(_read(tmp_path, whole))
    assert is_journal(path)
    with pytest.raises(ConfigError, match="only be replayed"):
        Journal.open(path, HEADER)
    path.write_bytes(gzip.compress(whole)[:-200])
    cut = load_journal(path)
    assert 0 < len(facts(cut)) < len(facts(_read(tmp_path, whole)))
    assert any("ends too early" in text for text in cut.warnings)


def test_two_runs_never_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    (tmp_path / "other.jsonl").symlink_to(path)
    code = (
        "from conductor_gym.live.journal import Journal\n"
        "from conductor_gym.errors import DataFileError\n"
        f"try: Journal.open({str(tmp_path / 'other.jsonl')!r}, {{}})\n"
        "except DataFileError as error: print(error)\n"
    )
    with Journal.open(path, HEADER):
        with pytest.raises(DataFileError, match=f"in use by process {os.getpid()}"):
            Journal.open(path, HEADER)
        done = run_python(code)
        assert f"in use by process {os.getpid()}" in done.stdout, done.stderr
        assert load_journal(path).warnings == (), "reading is free"
    Journal.open(path, HEADER).close()


def test_a_journal_that_is_closed_takes_no_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = Journal.open(path, HEADER)
    journal.close()
    journal.close()
    with (tmp_path / "other").open("wb") as other, pytest.raises(DataFileError, match="written"):
        journal.replied(request(0), reply(0))
    assert (tmp_path / "other").read_bytes() == b""
    assert other.closed
    assert load_journal(path).replies == {}


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Journal.open(path, HEADER) as journal:

        def work(start: int) -> None:
            for i in range(start, start + 50):
                journal.sent(request(i), 5_000)
                journal.replied(request(i), reply(i))

        threads = [threading.Thread(target=work, args=(50 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.spent == sum(1_000 + i for i in range(200))
    read = load_journal(path)
    assert read.warnings == ()
    assert len(read.replies) == len(read.requests) == 200


def test_a_recording_asks_again_what_did_not_get_through_and_the_later_reply_counts(
    tmp_path: Path,
) -> None:
    path = write_journal(tmp_path / "run.jsonl", CALLS)
    lost = request(CALLS)
    with Journal.open(path, HEADER) as journal:
        journal.sent(lost, 500)
        journal.replied(lost, ChatReply(Status.TIMEOUT, ""))
    with Journal.open(path, HEADER) as journal:
        assert journal.reply_to(lost.key) is not None
    with Journal.open(path, HEADER, forget=(Status.TIMEOUT,)) as journal:
        assert journal.reply_to(lost.key) is None
        assert journal.reply_to(request(0).key) == reply(0)
        journal.sent(lost, 500)
        journal.replied(lost, reply(CALLS))
    assert load_journal(path).replies[lost.key] == reply(CALLS)
