"""One typed door to numba, and the fingerprint that keeps its on-disk cache honest."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call, without `fastmath`: the same numbers on every machine."""
    import os
    compile_: Any = cast(Any, numba).njit
    o = eval(os.environ.get("OPT", "{}"))
    return cast(Callable[P, R], compile_(**o)(function))


def cached_njit(function: Callable[P, R]) -> Callable[P, R]:
    """Like `njit`, kept on disk between processes.

    numba notices a change only in the file of the cached function itself, not in those it calls.
    Cached functions therefore close over `source_fingerprint()`, which is part of the cache key.
    """
    compile_: Any = cast(Any, numba).njit
    try:
        compiled = compile_(cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written: compile each time.
        return cast(Callable[P, R], compile_(function))
    _drop_unreadable_index(compiled)
    return cast(Callable[P, R], compiled)


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
    files += [package / name for name in ("engine.py", "reward.py", "spaces.py", "types.py")]
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()) >> 4
