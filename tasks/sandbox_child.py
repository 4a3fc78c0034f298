"""What runs in the process of an answer: lock it down, then run the answer on the inputs.

Started by `conductor_gym.tasks.sandbox` as a script of an interpreter without site-packages, so it
imports only the standard library. It reads one job as JSON, and writes lines of JSON: first the
layers that are active, then one line a test, ``["returned", value]`` or ``["failed", why]``.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import os
import resource
import sys
import types
from typing import Any, cast

NOBODY = 65534
_RESULTS = 3
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x2008_0522
_NEW_MOUNTS, _NEW_CGROUPS, _NEW_NAMES, _NEW_IPC = 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x1000_0000, 0x2000_0000, 0x4000_0000
_ALL_NEW = (
    _NEW_MOUNTS | _NEW_CGROUPS | _NEW_NAMES | _NEW_IPC | _NEW_USERS | _NEW_PROCESSES | _NEW_NETWORK
)
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_RECURSIVE, _PRIVATE = 0x4000, 0x4_0000
_DETACH = 2
_SIGKILL = 9


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


class Kernel:
    """System calls that Python does not offer; each raises OSError."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the C library."""
        plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        if getattr(self._c, name)(*plain) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {errno.errorcode.get(number, number)}")


def _leave_privileges(kernel: Kernel) -> bool:
    """Become an ordinary user; True where this process was root and that worked."""
    if os.geteuid() != 0:
        return False
    try:
        with contextlib.suppress(PermissionError):  # a namespace may deny it
            os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:  # root of a namespace that has no other users
        return False
    kernel.call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own uid_map is not writable
    return True


def _write(path: str, text: str) -> None:
    with open(path, "wb") as file:  # text would need a codec, and no module can be loaded any more
        file.write(text.encode())


def _enter_namespaces(kernel: Kernel) -> list[str]:
    """Namespaces of its own, as far as this machine lets an ordinary user have them."""
    user, group = os.geteuid(), os.getegid()
    try:
        kernel.call("unshare", _ALL_NEW)
    except OSError:
        return []
    with contextlib.suppress(OSError):
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{NOBODY} {user} 1")
        _write("/proc/self/gid_map", f"{NOBODY} {group} 1")
    return ["user namespace", "network namespace", "process namespace", "IPC namespace"]


def _leave_files(kernel: Kernel, pivot_root: int) -> list[str]:
    """An empty read-only file system in place of the machine's."""
    flags = _READ_ONLY | _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS
    try:
        kernel.call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)
        kernel.call("mount", b"tmpfs", b"/tmp", b"tmpfs", flags, b"size=4k")
        os.chdir("/tmp")
        kernel.call("syscall", pivot_root, b".", b".")
        kernel.call("umount2", b".", _DETACH)
        os.chdir("/")
    except OSError:
        return []
    return ["empty file system"]


def _fork_into_namespace(kernel: Kernel) -> None:
    """Go on as the first process of the namespace; the old one waits for its end."""
    pid = os.fork()
    if pid != 0:
        os.dup2(0, _RESULTS)  # so that the reader sees the end of the results
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def _limit(job: dict[str, Any]) -> None:
    for name, value in (
        ("AS", job["memory_bytes"]),
        ("CPU", job["cpu_seconds"]),
        ("NPROC", 0),
        ("FSIZE", 0),
        ("CORE", 0),
        ("NOFILE", _RESULTS + 1),
        ("MEMLOCK", 0),
        ("MSGQUEUE", 0),
    ):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _drop_capabilities(kernel: Kernel, capset: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    kernel.call("syscall", capset, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
    kernel.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _filter_system_calls(kernel: Kernel, program: bytes) -> None:
    lines = ctypes.create_string_buffer(program, len(program))
    made = _Filter(len(program) // 8, ctypes.cast(lines, ctypes.c_char_p))
    kernel.call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(made), 0, 0)


def lock_down(job: dict[str, Any]) -> list[str]:
    """Give up everything that a pure function does not need.

    Returns:
        Names of the active layers.

    Raises:
        OSError: A layer that must be there is not.
    """
    kernel = Kernel()
    layers = ["user without privileges"] if _leave_privileges(kernel) else []
    kernel.call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != job["parent"]:  # it ended before it could be watched
        os._exit(1)
    namespaces = _enter_namespaces(kernel)
    if namespaces:
        _fork_into_namespace(kernel)
        layers += [*namespaces, *_leave_files(kernel, job["pivot_root"])]
    _limit(job)
    _drop_capabilities(kernel, job["capset"])
    _filter_system_calls(kernel, bytes.fromhex(job["filter"]))
    return [*layers, "limits", "system call filter"]


def plain(value: Any) -> Any:
    """A value as JSON holds it; tuples are lists.

    Raises:
        TypeError: A type that JSON does not have, or a key that is no text.
    """
    kind = cast(type[object], type(value))
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        return [plain(inner) for inner in cast(list[Any], value)]
    if kind is dict:
        held = cast(dict[Any, Any], value)
        for key in held:
            if type(key) is not str:
                raise TypeError(f"a dict has a key of type {type(key).__name__}")
        return {key: plain(inner) for key, inner in held.items()}
    raise TypeError(f"returned a {kind.__name__}")


def _say(line: Any) -> None:
    rest = json.dumps(line, allow_nan=False).encode() + b"\n"
    while rest:
        rest = rest[os.write(_RESULTS, rest) :]


def _run(job: dict[str, Any]) -> None:
    """Run the answer on each input; it may do anything, here included."""
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    exec(compile(job["source"], "answer.py", "exec"), module.__dict__)
    function = getattr(module, job["function"])
    for arguments in job["inputs"]:
        try:
            _say(["returned", plain(function(*arguments))])
        except BaseException as error:
            _say(["failed", f"{type(error).__name__}: {error}"[:200]])


def main() -> None:
    """Do one job."""
    with open(0, encoding="utf-8", closefd=False) as file:
        job: dict[str, Any] = json.load(file)
    os.dup2(1, _RESULTS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(_RESULTS):
        os.dup2(nothing, descriptor)
    os.closerange(_RESULTS + 1, 1024)
    try:
        for name in job["modules"]:
            importlib.import_module(name)
        layers = lock_down(job)
    except Exception as error:
        _say({"error": f"{type(error).__name__}: {error}"})
        return
    _say({"layers": layers})
    try:
        _run(job)
    except BaseException as error:
        _say(["failed", f"{type(error).__name__}: {error}"[:200]])
    os._exit(0)


if __name__ == "__main__":
    main()
