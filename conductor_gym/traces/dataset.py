"""Steps to learn from: reading a Minari dataset of `Conductor-v0`, whoever wrote it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.spaces import action_space, observation_space
from conductor_gym.traces.minari_files import dataset_folder, import_minari
from conductor_gym.types import MAX_STEPS, MAX_WORKERS


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """n steps of whole episodes, one after the other.

    Attributes:
        observations: What was observed before each step, [n, ...] each.
        actions: int64 [n, 3].
        returns: float64 [n], sum of the rewards from this step to the end of its episode.
        starts: bool [n], the first steps of episodes.
    """

    observations: dict[str, npt.NDArray[Any]]
    actions: npt.NDArray[np.int64]
    returns: npt.NDArray[np.float64]
    starts: npt.NDArray[np.bool_]


def read_dataset(
    name: str, max_workers: int = MAX_WORKERS, max_steps: int = MAX_STEPS
) -> Demonstrations:
    """Read a dataset that lies on this machine.

    Args:
        name: Of the dataset, such as ``mine/divide-v0``.
        max_workers: Worker slots of the environment that is to be learnt for.
        max_steps: Its steps.

    Raises:
        ConfigError: No such dataset, or one of another observation or action space.
        DataFileError: A broken dataset.
        MissingExtraError: Minari is not installed.
    """
    minari, folder = import_minari(), dataset_folder(name)
    if not (folder / "data").is_dir():
        raise ConfigError(
            f"no Minari dataset {name} at {folder}. Known here: {_known(minari.datasets)}. "
            "Nothing is downloaded; MINARI_DATASETS_PATH names the folder of datasets."
        )
    try:
        dataset = minari.dataset(folder / "data")
    except Exception as error:
        raise DataFileError(f"{folder}: not a dataset that Minari can read: {error}.") from None
    _check_spaces(name, dataset, max_workers, max_steps)
    steps = int(dataset.total_steps)
    observations: dict[str, npt.NDArray[Any]] = {
        key: np.empty((steps, *part.shape), part.dtype)
        for key, part in dataset.observation_space.spaces.items()
    }
    actions = np.empty((steps, 3), np.int64)
    returns, starts = np.empty(steps), np.zeros(steps, bool)
    at = 0
    try:
        for episode in dataset.iterate_episodes():
            length = len(episode.rewards)
            if not length:
                continue
            here = slice(at, at + length)
            for key, array in observations.items():
                array[here] = episode.observations[key][:length]
            actions[here] = episode.actions
            returns[here] = np.cumsum(episode.rewards[::-1])[::-1]
            starts[at] = True
            at += length
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise DataFileError(f"{folder}: broken after {at} of {steps} steps: {error}.") from None
    if at != steps:
        raise DataFileError(f"{folder}: {at} steps, its metadata says {steps}.")
    return Demonstrations(observations, actions, returns, starts)


def _check_spaces(name: str, dataset: Any, max_workers: int, max_steps: int) -> None:
    wanted = observation_space(max_workers, max_steps), action_space(max_workers)
    found = dataset.observation_space, dataset.action_space
    for kind, want, have in zip(("observation", "action"), wanted, found, strict=True):
        if want != have:
            raise ConfigError(
                f"dataset {name} has another {kind} space: {_told(have)}. Conductor-v0 with "
                f"max_workers={max_workers} and max_steps={max_steps} has {_told(want)}."
            )


def _told(space: Any) -> str:
    """A space in one line."""
    parts: dict[str, Any] | None = getattr(space, "spaces", None)
    if isinstance(parts, dict):
        return ", ".join(f"{key} {part.shape}" for key, part in parts.items())
    return str(space)


def _known(datasets: Path) -> str:
    """The datasets in a folder."""
    names = sorted(str(path.parent.relative_to(datasets)) for path in datasets.glob("**/data"))
    return ", ".join(name for name in names if not name.startswith(".")) or "none"
