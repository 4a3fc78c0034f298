"""Answers run where they can do no harm: real attacks, each with every module at hand."""

import socket
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.tasks import sandbox
from conductor_gym.tasks.sandbox import Limits, Outcome, SandboxError, run_tests, same, why_not

MORE_MODULES = ("socket", "subprocess", "threading", "ctypes", "multiprocessing", "mmap", "signal")
OWN = ("PYTHONHASHSEED", "LC_CTYPE")  # set by us and by the interpreter
CHILD = str(Path(sandbox.__file__).with_name("sandbox_child.py"))


def attack(body: str, expected: object = None, limits: Limits | None = None) -> Outcome:
    """What comes of a function `f` with this body, called once with 3."""
    lines = "\n".join(f"    {line}" for line in body.strip().split("\n"))
    return run_tests(f"def f(n):\n{lines}", "f", [([3], expected)], limits or Limits())


def told(body: str) -> str:
    """What the function returned, or why it did not."""
    return str(attack(body, "no attack returns this").problem)


@pytest.fixture
def all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attackers may import what answers may not: the kernel must stop them, no list of names."""
    monkeypatch.setattr(sandbox, "MODULES", (*sandbox.MODULES, *MORE_MODULES))


def alive() -> list[str]:
    """Processes of answers that still run."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if CHILD in path.read_text(encoding="utf-8"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_this_machine_can_isolate():
    assert why_not() is None
    outcome = attack("return n + 1", 4)
    assert (outcome.passed, outcome.total, outcome.problem) == (1, 1, None)
    assert {"limits", "system call filter"} <= set(outcome.layers)


def test_the_first_failed_test_is_told():
    tests = [([1], 1), ([2], 4), ([3], 9)]
    outcome = run_tests("def f(n): return n if n < 3 else n * n", "f", tests)
    assert (outcome.passed, outcome.total) == (1, 3)
    assert outcome.problem == "test 2 of 3: returned 2"
    missing = run_tests("def g(n): return n", "f", tests).problem
    assert missing is not None
    assert "AttributeError" in missing
    wrong = run_tests("def f(n: return n", "f", tests).problem
    assert wrong is not None
    assert "SyntaxError" in wrong


def test_no_connection_reaches_a_listener_of_this_machine(all_modules: None):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        assert "PermissionError" in told(
            f"import socket\nsocket.socket().connect(('127.0.0.1', {port}))"
        )
        assert "returned -1" in told("import ctypes\nreturn ctypes.CDLL(None).socket(2, 1, 0)")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_files_are_neither_read_nor_written(all_modules: None, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("hidden", encoding="utf-8")
    tmp_path.chmod(0o777)
    secret.chmod(0o666)
    assert "Error" in told(f"return open({str(secret)!r}).read()")
    assert "Error" in told(f"open({str(secret)!r}, 'w').write('x')")
    assert "Error" in told(f"open({str(tmp_path / 'new')!r}, 'w').write('x')")
    assert "Error" in told("open('/tmp/new', 'w').write('x')")
    assert "Error" in told(f"import os\nos.remove({str(secret)!r})")
    assert "Error" in told("return open('/proc/self/environ').read()")
    assert "Error" in told("import os\nreturn os.listdir('/')")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert secret.read_text(encoding="utf-8") == "hidden"


def test_no_process_or_thread_or_program_starts(all_modules: None):
    bomb = "import os\nwhile True:\n    os.fork()"
    assert "PermissionError" in told(bomb)
    assert "Error" in told("import subprocess\nreturn subprocess.run(['/bin/true']).returncode")
    assert "Error" in told("import threading\nthreading.Thread(target=print).start()")
    assert "PermissionError" in told("import os\nos.execv('/bin/true', ['true'])")
    assert "PermissionError" in told("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")


def test_nothing_stays_behind(all_modules: None):
    body = "import os, time\ntry:\n    os.fork()\nexcept OSError:\n    pass\ntime.sleep(60)"
    start = time.monotonic()
    outcome = attack(body, limits=Limits(wall_seconds=0.5))
    assert time.monotonic() - start < 5
    assert outcome.problem == "test 1 of 1: no result within 0.5 s"
    deadline = time.monotonic() + 2
    while alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive() == []


def test_an_endless_loop_ends_at_the_limit_of_processor_time():
    start = time.monotonic()
    outcome = attack("while True:\n    pass", limits=Limits(cpu_seconds=1))
    assert outcome.problem is not None
    assert "reached a limit" in outcome.problem
    assert time.monotonic() - start < 6


def test_memory_is_limited():
    assert "MemoryError" in told("return len(bytearray(2**31))")
    assert "MemoryError" in told("x = [0]\nwhile True:\n    x += x")


def test_the_environment_is_not_visible(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_KEY_OF_A_WORKER", "secret")
    outcome = attack(f"import os\nreturn [k for k in os.environ if k not in {OWN!r}]", [])
    assert outcome.problem is None


def test_printing_is_harmless():
    assert attack("for _ in range(200):\n    print('x' * 100_000)\nreturn 1", 1).problem is None
    flood = "import os\nwhile True:\n    os.write(3, b'x' * 100_000)"
    assert "above 1,048,576 bytes" in told(flood)
    assert "above 1,048,576 bytes" in told("return 'x' * 5_000_000")


@pytest.mark.parametrize(
    "body", ["import sys\nsys.exit(0)", "import os\nos._exit(0)", "raise KeyboardInterrupt"]
)
def test_leaving_early_passes_nothing(body: str):
    outcome = run_tests(f"{body}\ndef f(n): return n", "f", [([1], 1)])
    assert outcome.problem is not None
    outcome = attack(body)
    assert outcome.passed == 0
    assert outcome.problem is not None


def test_a_forged_result_passes_nothing():
    forged = (
        'import os\nos.write(3, b\'["returned", 7]\\n["passed", 7]\\n{"layers": []}\\n\')\n'
        "os._exit(0)"
    )
    assert told(forged) == "test 1 of 1: returned 7"
    for line in ("[]", "7", "{}", "[" * 100_000, '["returned", NaN]', "\xff", '["failed", 1]'):
        body = f"import os\nos.write(3, {line.encode('latin-1') + bytes([10])!r})\nos._exit(0)"
        assert attack(body, 1).passed == 0


def test_expected_values_are_not_in_the_process():
    body = """
import sys
frame, seen = sys._getframe(), []
while frame:
    seen.append(repr(frame.f_locals) + repr(frame.f_globals.get("job")))
    frame = frame.f_back
return [word in "".join(seen) for word in ("import sys", str(424_000 + 242))]
"""
    assert attack(body, 424242).problem == "test 1 of 1: returned [True, False]"


def test_an_answer_that_orders_a_set_is_graded_the_same_each_time():
    body = "return ''.join({'one', 'two', 'three', 'four', 'five', 'six'})"
    assert len({told(body) for _ in range(4)}) == 1


def test_where_answers_cannot_be_isolated_they_do_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(sandbox, "_CHILD", tmp_path / "missing.py")
    why_not.cache_clear()
    try:
        reason = why_not()
        assert reason is not None
        assert "did not start" in reason
        with pytest.raises(SandboxError, match=r"cannot be graded here: .* seccomp"):
            attack("return 1", 1)
    finally:
        why_not.cache_clear()


def test_a_filter_that_lets_through_too_much_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    loose = tmp_path / "child.py"
    code = Path(CHILD).read_text(encoding="utf-8")
    line = '    _filter_system_calls(kernel, bytes.fromhex(job["filter"]))\n'
    loose.write_text(code.replace(line, ""), encoding="utf-8")
    tmp_path.chmod(0o755)
    monkeypatch.setattr(sandbox, "_CHILD", loose)
    why_not.cache_clear()
    try:
        assert "not tight" in str(why_not())
    finally:
        why_not.cache_clear()


def test_another_system_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    why_not.cache_clear()
    try:
        assert "only on Linux" in str(why_not())
    finally:
        why_not.cache_clear()


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200))
def test_no_source_breaks_the_runner(source: str):
    assert run_tests(source, "f", [([1], 2)]).passed == 0


def test_values_are_equal_in_type_too():
    assert same([1, {"a": [True, None]}, "x"], [1, {"a": [True, None]}, "x"])
    for left, right in ((1, True), (1.0, 1), ([1], [1, 2]), ({"a": 1}, {"b": 1}), (None, False)):
        assert not same(left, right)
