"""Run Python that nobody has read, in a process that can only compute.

An answer's process may use memory and time up to its limits and write results to one pipe. A
filter of system calls denies it files, sockets, other processes and signals; where the machine
lets an ordinary user have namespaces, it also has no network, no other process and no file system
to reach. Only inputs are sent to it: expected values stay here, where results are compared, so the
one way to pass is to compute them.
"""

import json
import os
import platform
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from conductor_gym.errors import ConductorError
from conductor_gym.tasks.seccomp import MACHINES, filter_of

MODULES: tuple[str, ...] = (
    *("__future__", "abc", "array", "base64", "binascii", "bisect", "calendar", "cmath"),
    *(
        "codecs",
        "collections",
        "collections.abc",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
    ),
    *("difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "io"),
    *("itertools", "json", "keyword", "math", "numbers", "operator", "os", "pprint", "queue"),
    *("random", "re", "statistics", "string", "struct", "sys", "textwrap", "time", "types"),
    *("typing", "unicodedata", "warnings", "zlib"),
)
"""What an answer may import. They are loaded before the process is locked down."""

_CHILD = Path(__file__).with_name("sandbox_child.py")
_ALSO = {"strptime": "_strptime", "codecs": "encodings.rot_13"}
"""Modules that are else imported when something is called."""
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_PIECE = 65_536
_PROBE = """
import os

def tried(*arguments):
    found = []
    for name, call in (
        ("files can be read", lambda: os.open("/", os.O_RDONLY)),
        ("files can be written", lambda: os.open("/tmp/probe", os.O_WRONLY | os.O_CREAT)),
        ("folders can be made", lambda: os.mkdir("/tmp/probe")),
        ("processes can be made", lambda: os.fork() or os._exit(0)),
        ("processes can be signalled", lambda: os.kill(os.getpid(), 0)),
        ("programs can be started", lambda: os.execv("/bin/true", ["true"])),
        ("sockets can be opened", lambda: __import__("_socket").socket()),
    ):
        try:
            call()
        except OSError:
            continue
        except ImportError:
            continue
        found.append(name)
    return found
"""


class SandboxError(ConductorError, RuntimeError):
    """Answers cannot be run here in a locked-down process."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may use for all of its tests together.

    Attributes:
        cpu_seconds: Processor time, at least 1.
        wall_seconds: Time until it is stopped; far above the former, for machines under load.
        memory_bytes: Address space of its process.
        output_bytes: Results as JSON.
    """

    cpu_seconds: int = 2
    wall_seconds: float = 10.0
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 2**20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an answer.

    Attributes:
        passed: Tests passed before the first that was not.
        total: All tests.
        problem: What was wrong with the first test not passed, or None. It quotes the answer.
        layers: Names of the layers of isolation that were active.
    """

    passed: int
    total: int
    problem: str | None
    layers: tuple[str, ...]


def same(value: object, expected: object) -> bool:
    """Whether two JSON values are equal in value and type: True is not 1, 1.0 is not 1."""
    if type(value) is not type(expected):
        return False
    if isinstance(value, list):
        left, right = cast(list[object], value), cast(list[object], expected)
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(value, dict):
        held, wanted = cast(dict[str, object], value), cast(dict[str, object], expected)
        return held.keys() == wanted.keys() and all(same(held[k], wanted[k]) for k in wanted)
    return value == expected


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """Why answers cannot be run here, and the repair; None where they can. Tried once."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES:
        return (
            f"answers run only on Linux on {' or '.join(MACHINES)}, this is {sys.platform} on "
            f"{machine}: grade code on such a machine (a container or WSL 2 will do)"
        )
    repair = "run on a Linux kernel with seccomp filters, in a container that lets them be set"
    try:
        tried = _Run(_PROBE, "tried", [[]], Limits())
        if tried.results != [("returned", [])]:
            return f"the locked-down process is not tight ({tried.results}): {repair}"
    except SandboxError as error:
        return str(error)
    return None


def run_tests(
    source: str,
    function: str,
    tests: Sequence[tuple[Sequence[Any], Any]],
    limits: Limits = Limits(),
) -> Outcome:
    """Run an answer on all tests in one locked-down process.

    Args:
        source: Python that defines the function.
        function: Its name.
        tests: Arguments and expected value of each, as JSON values. A tuple returned is a list.
        limits: For all tests together.

    Returns:
        Whatever the answer does, how many tests it passed and what went wrong.

    Raises:
        SandboxError: The process cannot be locked down here, or did not start in time.
    """
    reason = why_not()
    if reason is not None:
        raise SandboxError(f"code cannot be graded here: {reason}")
    run = _Run(source, function, [arguments for arguments, _ in tests], limits)
    total = len(tests)
    for i, (_, expected) in enumerate(tests):
        problem = run.problem(i, expected)
        if problem is not None:
            return Outcome(i, total, f"test {i + 1} of {total}: {problem}", run.layers)
    return Outcome(total, total, None, run.layers)


class _Run:
    """One process from its start to its end, and what it said."""

    def __init__(
        self, source: str, function: str, inputs: Sequence[Sequence[Any]], limits: Limits
    ) -> None:
        machine = MACHINES[platform.machine()]
        words = set(_WORD.findall(source))
        modules = [name for name in MODULES if name.split(".")[0] in words]
        job: dict[str, Any] = {
            "source": source,
            "function": function,
            "inputs": inputs,
            "modules": [*modules, *(_ALSO[word] for word in sorted(words & _ALSO.keys()))],
            "parent": os.getpid(),
            "cpu_seconds": limits.cpu_seconds,
            "memory_bytes": limits.memory_bytes,
            "filter": filter_of(machine).hex(),
            "pivot_root": machine.pivot_root,
            "capset": machine.capset,
        }
        self._end = "no result: the process exited, crashed or reached a limit"
        output = self._said_by(json.dumps(job), len(inputs), limits)
        first, *lines = output.split(b"\n")
        started: dict[str, Any] = json.loads(first) if first.endswith(b"}") else {}
        if "layers" not in started:
            raise SandboxError(
                "the locked-down process of an answer did not start "
                f"({started.get('error', self._end)}). Check that this machine lets a process set "
                "seccomp filters and limits, and is not overloaded."
            )
        self.layers: tuple[str, ...] = tuple(started["layers"])
        self.results = [_result(line) for line in lines[:-1]]

    def problem(self, test: int, expected: object) -> str | None:
        """What is wrong with the result of a test, or None."""
        if test >= len(self.results):
            return self._end
        kind, value = self.results[test]
        if kind != "returned":
            return str(value)
        try:
            return None if same(value, expected) else f"returned {ascii(value)[:200]}"
        except RecursionError:
            return "returned a value that is too deep"

    def _said_by(self, job: str, tests: int, limits: Limits) -> bytes:
        """All that the process wrote, until its end or that of the limits."""
        deadline = time.monotonic() + limits.wall_seconds
        output = bytearray()
        with _started(job) as process, selectors.DefaultSelector() as selector:
            if process.stdout is None:
                return b""
            pipe = process.stdout.fileno()
            selector.register(pipe, selectors.EVENT_READ)
            # one line says that it started, then one comes for each test
            while output.count(b"\n") <= tests:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self._end = f"no result within {limits.wall_seconds:g} s"
                    break
                piece = os.read(pipe, _PIECE)
                if not piece:
                    break
                output += piece
                if len(output) > limits.output_bytes:
                    self._end = f"results above {limits.output_bytes:,} bytes"
                    break
        return bytes(output)


def _result(line: bytes) -> tuple[str, Any]:
    try:
        said: Any = json.loads(line)
        kind, value = said
    except (ValueError, TypeError, RecursionError):  # the answer wrote to the pipe itself
        return "failed", "a result that is no JSON"
    return ("returned" if kind == "returned" else "failed"), value


@contextmanager
def _started(job: str) -> Generator[subprocess.Popen[bytes]]:
    """A process at work on a job, killed with all that it started when the block ends."""
    # a file and not a pipe: a process that does not read cannot hold this one up
    with tempfile.TemporaryFile() as file:
        file.write(job.encode())
        file.seek(0)
        try:
            process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-S", "-B", "-X", "utf8", str(_CHILD)],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONHASHSEED": "0"},  # an answer that is at its mercy: always the same
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(
                f"no process can be started with {sys.executable!r} ({error.strerror}): free "
                "memory or raise the limit of processes, and try again"
            ) from None
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
