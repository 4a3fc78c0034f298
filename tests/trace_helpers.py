"""Small things that tests of traces share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conductor_gym.config import EnvConfig
from conductor_gym.traces.episodes import Episode
from conductor_gym.traces.rows import Row
from conductor_gym.world import make_world


def quiet(_: int) -> None:
    """Nobody watches."""


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Given:
    """A trace of episodes that are at hand."""

    def __init__(self, config: EnvConfig, episodes: list[Episode]) -> None:
        self.name, self.config, self.episodes = "given", config, len(episodes)
        self.world = make_world(config)
        self.columns: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self._episodes = episodes

    def played(self, advance: Any) -> Iterator[Episode]:
        del advance
        return iter(self._episodes)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conductor_gym", "trace", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
