"""Writing episodes as a Minari dataset, on this machine only."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError
from conductor_gym.spaces import action_space, observation_space
from conductor_gym.traces.episodes import Episode
from conductor_gym.traces.rows import Trace
from conductor_gym.types import MICROSECONDS, NANO_USD


class Minari(NamedTuple):
    """What is used of Minari, which has no types.

    Attributes:
        dataset: Class `MinariDataset`.
        storage: Class `MinariStorage`.
        episode: Class `EpisodeBuffer`.
        parse_name: Function `parse_dataset_id`.
        version: Of Minari.
        datasets: Folder of datasets: ``MINARI_DATASETS_PATH``, else ``~/.minari/datasets``.
    """

    dataset: Any
    storage: Any
    episode: Any
    parse_name: Any
    version: str
    datasets: Path


def import_minari() -> Minari:
    """Import Minari, which takes a second.

    Raises:
        MissingExtraError: Minari or its HDF5 part is not installed.
    """
    try:
        import_module("h5py")
        files = import_module("minari.dataset.minari_dataset")
        return Minari(
            files.MinariDataset,
            import_module("minari.dataset.minari_storage").MinariStorage,
            import_module("minari.data_collector.episode_buffer").EpisodeBuffer,
            files.parse_dataset_id,
            version("minari"),
            import_module("minari.storage.datasets_root_dir").get_dataset_path(),
        )
    except ImportError:
        raise MissingExtraError("reading and writing Minari datasets", "traces") from None


def dataset_folder(name: str) -> Path:
    """Where a dataset lies, checked before any work.

    Args:
        name: ``namespace/name-v0``; the namespace may be left out.

    Raises:
        ConfigError: Not a name as Minari wants it.
        MissingExtraError: Minari is not installed.
    """
    minari = import_minari()
    try:
        minari.parse_name(name)
    except (ValueError, TypeError):
        raise ConfigError(
            f"{name!r} is no name of a Minari dataset. Write NAMESPACE/NAME-v0, or NAME-v0, with a "
            "namespace of two characters or more."
        ) from None
    return minari.datasets / name


def check_is_new(name: str) -> Path:
    """The folder of a dataset that does not exist yet.

    Raises:
        ConfigError: It exists, or the name is none.
        MissingExtraError: Minari is not installed.
    """
    folder = dataset_folder(name)
    if folder.exists():
        raise ConfigError(
            f"dataset {name} exists at {folder}. Choose another name or a higher version: a "
            "dataset never changes."
        )
    return folder


def env_spec(config: EnvConfig) -> Any:
    """The specification of `Conductor-v0` with these settings, as Minari keeps it."""
    return replace(gym.spec("Conductor-v0"), kwargs=config.as_dict())


def write_dataset(name: str, trace: Trace, advance: Callable[[int], None]) -> tuple[Path, int, int]:
    """Write a dataset, whole or not at all, a block of episodes at a time.

    Every episode keeps its stream as `seed` and ``options = {"episode_index": k}``: what `reset`
    takes to play it again.

    Args:
        name: See `dataset_folder`.
        trace: The episodes.
        advance: Called with the number of episodes that were written.

    Returns:
        The folder, episodes and steps.

    Raises:
        ConfigError: The name is taken or none.
        MissingExtraError: Minari is not installed.
        DataFileError: The folder cannot be written.
    """
    minari, folder, config = import_minari(), check_is_new(name), trace.config
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=minari.datasets, prefix=".unfinished-"))
        try:
            storage = minari.storage.new(
                beside / "data",
                observation_space(config.max_workers, config.max_steps),
                action_space(config.max_workers),
                env_spec(config),
            )
            storage.update_metadata(
                {"dataset_id": name, "minari_version": minari.version, "requirements": []}
                | trace.metadata
            )
            storage.update_episodes(_buffers(minari.episode, trace.played(advance)))
            counts = storage.total_episodes, storage.total_steps
            beside.chmod(0o755)
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise DataFileError(f"{folder}: cannot be written ({error.strerror or error}).") from None
    return folder, *counts


def _buffers(make: Any, episodes: Iterable[Episode]) -> Iterator[Any]:
    for episode in episodes:
        state: Any = episode.state
        ends = np.zeros(len(episode.rewards), bool)
        ends[-1] = True
        steps = episode.steps
        yield make(
            seed=int(state["stream"]),
            options={"episode_index": int(state["index"])},
            observations=episode.observations,
            actions=episode.actions,
            rewards=episode.rewards,
            terminations=ends,
            truncations=np.zeros(len(ends), bool),
            infos={
                "cost_usd": np.cumsum([0, *steps["cost"]]) / NANO_USD,
                "latency_s": np.cumsum([0, *steps["latency"]]) / MICROSECONDS,
                "invalid_actions": np.cumsum([0, *(steps["rule"] > 0)]),
                "quality": np.append(np.zeros(len(steps)), float(state["quality"])),
            },
        )
