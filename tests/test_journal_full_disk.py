"""A full disk: no further call is sent, and every call in flight still gets its reply written."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from journal_calls import HEADER, request, run_python

from conductor_gym.errors import DataFileError
from conductor_gym.live.journal import Journal
from conductor_gym.live.journal_read import load_journal

FILL = """
import json, resource, sys
from journal_calls import HEADER, reply, request
from conductor_gym.errors import DataFileError
from conductor_gym.live.journal import Journal
path, limit, flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal = Journal.open(path, HEADER)
waiting, done, said = [], [], []
for i in range(100_000):
    try:
        journal.sent(request(i, max_tokens=1024), 5_000)
        waiting.append(i)
    except DataFileError as error:
        said.append(str(error))
        break
    if len(waiting) > flight:
        k = waiting.pop(0)
        journal.replied(request(k, max_tokens=1024), reply(k, 10_000 * "x"))
        done.append(k)
held = len(waiting)
for k in waiting:  # these were sent, so these are paid
    journal.replied(request(k, max_tokens=1024), reply(k, 10_000 * "x"))
    journal.graded(request(k, max_tokens=1024).key, {"score": 1.0})
try:
    journal.sent(request(-1), 5_000)
except DataFileError as error:
    said.append(str(error))
journal.close()
print(json.dumps({"sent": len(done) + held, "held": held, "said": said}))
"""


def _fill(path: Path, limit: int, flight: int) -> None:
    """Write until there is no room; every call that was sent must have its reply."""
    done = run_python(FILL, str(path), str(limit), str(flight))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["held"] == flight
    assert len(told["said"]) == 2, "refused, and refused again"
    assert f"the replies of the {flight} calls in flight" in told["said"][0]
    assert "run the same command again" in told["said"][0]
    read = load_journal(path)
    assert read.warnings == (), "no half line"
    assert len(read.replies) == told["sent"] > flight
    assert read.unanswered == ()
    assert set(read.requests) == set(read.replies)


def test_a_file_that_may_not_grow_takes_the_replies_of_all_calls_in_flight(tmp_path: Path) -> None:
    _fill(tmp_path / "run.jsonl", 2_500_000, 20)


HALF = """
import resource, sys
from pathlib import Path
from conductor_gym.live.journal_file import JournalFile
file = JournalFile(Path(sys.argv[1]))
file.write(b"first\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    file.write(200 * b"x" + b"\\n")
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.write(b"second\\n")
file.close()
"""


def test_a_line_that_finds_no_room_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    done = run_python(HALF, str(path))
    assert done.stdout == "File too large\n", done.stderr
    assert path.read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize("flight", [1, 200])
def test_a_full_disk_takes_the_replies_of_all_calls_in_flight(tmp_path: Path, flight: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no command `mount` here")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        path = disk / "run.jsonl"
        (disk / "spare").write_bytes(bytes(2 << 20))
        _fill(path, 0, flight)
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
        with pytest.raises(DataFileError, match=r"1 MiB cannot be held.*Free space"):
            Journal.open(path, HEADER)
        assert sorted(os.listdir(disk)) == ["filler", "run.jsonl", "spare"]
        (disk / "spare").unlink()
        with Journal.open(path, HEADER) as journal:
            journal.sent(request(-1), 5_000)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
