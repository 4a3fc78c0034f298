"""The filter of system calls under which an answer's code runs: what is not listed fails.

Neither opening a file, nor a socket, a process, a thread, a signal or another program is listed,
so whatever an answer does stays in the memory of its own process.
"""

import struct
from dataclasses import dataclass

_ALLOWED: tuple[tuple[str, int, int | None], ...] = (
    # name, number on x86_64, number on aarch64
    ("read", 0, 63),
    ("write", 1, 64),
    ("close", 3, 57),
    ("fstat", 5, 80),
    ("lseek", 8, 62),
    ("mmap", 9, 222),
    ("mprotect", 10, 226),
    ("munmap", 11, 215),
    ("brk", 12, 214),
    ("rt_sigaction", 13, 134),
    ("rt_sigprocmask", 14, 135),
    ("rt_sigreturn", 15, 139),
    ("sched_yield", 24, 124),
    ("mremap", 25, 216),
    ("madvise", 28, 233),
    ("nanosleep", 35, 101),
    ("getpid", 39, 172),
    ("exit", 60, 93),
    ("gettimeofday", 96, 169),
    ("getrusage", 98, 165),
    ("times", 100, 153),
    ("sigaltstack", 131, 132),
    ("gettid", 186, 178),
    ("time", 201, None),
    ("futex", 202, 98),
    ("restart_syscall", 219, 128),
    ("clock_gettime", 228, 113),
    ("clock_getres", 229, 114),
    ("clock_nanosleep", 230, 115),
    ("exit_group", 231, 94),
    ("getrandom", 318, 278),
)
_EPERM = 1
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_KILL, _FAIL, _ALLOW = 0x8000_0000, 0x0005_0000 | _EPERM, 0x7FFF_0000


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers of one processor architecture.

    Attributes:
        audit: The architecture as the kernel names it to a filter.
        allowed: System calls that an answer may make.
        pivot_root: Number of the system call that changes the root of the file system.
        capset: Number of the system call that sets capabilities.
    """

    audit: int
    allowed: tuple[int, ...]
    pivot_root: int
    capset: int


MACHINES: dict[str, Machine] = {
    "x86_64": Machine(0xC000_003E, tuple(x for _, x, _ in _ALLOWED), 155, 126),
    "aarch64": Machine(0xC000_00B7, tuple(a for _, _, a in _ALLOWED if a is not None), 41, 91),
}
"""Architectures by the name that `platform.machine` gives."""


def filter_of(machine: Machine) -> bytes:
    """The filter as an array of `struct sock_filter`, for `prctl(PR_SET_SECCOMP)`."""
    count = len(machine.allowed)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_JUMP_IF_EQUAL, count - i, 0, number) for i, number in enumerate(machine.allowed)),
        (_RETURN, 0, 0, _FAIL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
