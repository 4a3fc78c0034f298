"""The documents of a task: as they are given, or made on demand from its recipe."""

from collections.abc import Mapping
from typing import Any, cast

from conductor_gym.errors import ConfigError, DataFileError, unknown_name
from conductor_gym.tasks import long_context
from conductor_gym.tasks.task import Task

MAKERS = {long_context.NAME: long_context.make}
"""What makes a task and its documents from (level, index, settings), by family."""
_FIELDS = ("family", "level", "index", "settings", "hash")


def documents_of(task: Task) -> tuple[str, ...]:
    """The documents of a task, in the order in which a context shows them.

    A pure function: a recipe gives the same text on every machine.

    Raises:
        DataFileError: A recipe that is not whole, or that gives other text than it says.
        UnknownNameError: A family that makes no documents.
    """
    if task.documents is None:
        return ()
    if task.documents.recipe is None:
        return task.documents.texts
    recipe = task.documents.recipe
    where = f"task {task.uid!r}, recipe of its documents"
    if set(recipe) != set(_FIELDS) or not isinstance(recipe["settings"], Mapping):
        raise DataFileError(
            f"{where}: it has the fields {', '.join(map(repr, recipe)) or 'none'}. Write "
            f"{', '.join(_FIELDS)}, with an object as `settings`, or give the texts themselves."
        )
    family = str(recipe["family"])
    if family not in MAKERS:
        raise unknown_name("family with documents", family, MAKERS)
    settings = cast(Mapping[str, Any], recipe["settings"])
    try:
        made = MAKERS[family](recipe["level"], recipe["index"], settings)
    except ConfigError as error:
        raise DataFileError(f"{where}: {error}") from None
    if long_context.hash_of(made.texts) != recipe["hash"]:
        raise DataFileError(
            f"{where}: what it makes here is not what the task was made with "
            f"({long_context.hash_of(made.texts)}, expected {recipe['hash']}). Use the version of "
            "conductor-gym that made the task, or make the task again."
        )
    return made.texts
