"""One typed door to numba, and the fingerprint that keeps its on-disk cache honest."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",  # no checks for division by zero, which take a third of the time
    "_nrt": False,  # compiled code allocates nothing: counting references takes half of the time
    "forceinline": True,
}
"""No `fastmath`: the same numbers on every machine."""


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call."""
    compile_: Any = cast(Any, numba).njit
    return cast(Callable[P, R], compile_(**_OPTIONS)(function))


def inner_njit(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, for what compiled code alone calls: a door for Python takes long to compile."""
    compile_: Any = cast(Any, numba).njit
    shut = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Callable[P, R], compile_(**_OPTIONS, **shut)(function))


def cached_njit(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, kept on disk between processes.

    numba notices a change only in the file of the cached function itself, not in those it calls.
    Cached functions therefore close over `source_fingerprint()`, which is part of the cache key.
    """
    compile_: Any = cast(Any, numba).njit
    try:
        compiled = compile_(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written: compile each time.
        return njit(function)
    _drop_unreadable_index(compiled)
    return cast(Callable[P, R], compiled)


def entry(compiled: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """A compiled function for arguments of these types, which are not looked at again.

    Looking at the types of thirty arrays takes ten times as long as a step of one episode.
    """
    signature = tuple(cast(Any, numba).typeof(argument) for argument in arguments)
    compiled.compile(signature)
    return compiled.overloads[signature].entry_point


def _drop_unreadable_index(compiled: Any) -> None:
    """Remove a cache index that names types which this version no longer has.

    numba unpickles an index of an older version before it looks at the key, and fails.
    """
    file = compiled._cache._cache_file
    try:
        file._load_index()
    except Exception:
        Path(file._index_path).unlink(missing_ok=True)


def source_fingerprint() -> int:
    """A 60-bit hash of every source file that can end up in compiled code."""
    package = Path(__file__).resolve().parents[1]
    files = sorted((package / "dynamics").glob("*.py"))
    files += sorted((package / "workers").glob("*.py"))
    files += [package / name for name in ("kernels.py", "reward.py", "spaces.py", "types.py")]
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()) >> 4
