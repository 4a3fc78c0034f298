"""A pool of some of another pool's workers."""

from collections.abc import Collection, Mapping
from typing import Any

from conductor_gym.errors import unknown_name
from conductor_gym.workers.pool import Pool


def some_workers(pool: Pool, names: Collection[str]) -> Pool:
    """The pool without its other workers, in its own order.

    Args:
        pool: Any pool.
        names: Workers to keep.

    Raises:
        UnknownNameError: A name that no worker of it has.
    """
    for name in names:
        if name not in pool.worker_names:
            raise unknown_name("worker", name, pool.worker_names)
    gone = set(pool.worker_names) - set(names)
    said = pool.model_dump(exclude_none=True)
    said["workers"] = [worker for worker in said["workers"] if worker["name"] in names]
    providers = {worker["provider"] for worker in said["workers"]}
    said["limits"] = {name: limits for name, limits in said["limits"].items() if name in providers}
    for section in ("accuracy", "output_tokens", "format_failure", "confidence_bias", "loadings"):
        if section in said:
            said[section] = _without(gone, said[section])
    if "text" in said:
        said["text"] = _without(gone, said["text"])
    return Pool.model_validate(said)


def _without(gone: set[str], said: Any) -> Any:
    """A section without the entries that are named after some workers."""
    if isinstance(said, Mapping):
        kept: dict[str, Any] = {str(k): v for k, v in said.items() if k not in gone}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
        return {name: _without(gone, value) for name, value in kept.items()}
    if isinstance(said, list | tuple):
        return [_without(gone, value) for value in said]  # pyright: ignore[reportUnknownVariableType]
    return said
