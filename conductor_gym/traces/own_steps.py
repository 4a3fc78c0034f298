"""Steps that somebody's own workers made, told to the environment instead of simulated.

The rows have the columns of a trace. What a worker gave back is taken from them; observations,
money left, masks, rewards and the end are the environment's.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.kernels import OUTCOME_DTYPE
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.traces.episodes import SIDE_BY_SIDE, Decisions, Episode, play_block
from conductor_gym.traces.first_pass import first_pass
from conductor_gym.traces.rows import SUBTASK_NAMES, Row
from conductor_gym.types import CONTEXT_LEVELS, MICROSECONDS, MISSING, NANO_USD, Status
from conductor_gym.version import __version__

STATUSES = {status.name.lower(): int(status) for status in Status}
FREE = ("vote", "submit")


class OwnSteps:
    """A file of rows, one JSON object a line, the steps of an episode one after the other.

    Args:
        path: The file.
        config: The environment: its pool names the workers, its suite holds the queries by uid.

    Attributes:
        name: Of the file.
        episodes: How many it holds of the split that is played.
        left_out: How many it holds of the suite's other splits.
        config: The environment.
        world: What is played.
        columns: What is the same in all rows.
        metadata: Of a Minari dataset.

    Raises:
        DataFileError: Not readable, or rows that are no steps.
        ConfigError: No cost weight: what a cent was worth is not in a log.
    """

    def __init__(self, path: Path, config: EnvConfig) -> None:
        if config.cost_weight is None:
            raise ConfigError(
                "name one cost weight (--cost-weight): what a cent is worth is not in a log."
            )
        self.path, self.config, self.name = path, config, path.name
        self._others = _uids_of_other_splits(config)
        self.episodes = sum(1 for _ in self._groups())
        self.left_out = sum(1 for _ in self._every_group()) - self.episodes
        if not self.episodes:
            raise DataFileError(f"{path} holds no steps of split {config.split!r}.")
        self._engine = Engine(config, min(SIDE_BY_SIDE, self.episodes))
        self.world = self._engine.world
        self.columns: Row = {"agent": path.stem}
        self.metadata: dict[str, Any] = {
            "algorithm_name": path.stem,
            "description": f"steps of {path.name}",
            "conductor_gym": {"version": __version__, "content": self.world.content_hashes()},
        }
        names = self.world.pool.worker_names
        empty = (f"slot {w}" for w in range(len(names), config.max_workers))
        self._workers = {name: w for w, name in enumerate((*names, *empty))}
        uids = self.world.data.uids
        self._indices = {uids[q]: index for q, index in enumerate(first_pass(self._engine))}

    def played(self, advance: Callable[[int], None]) -> Iterator[Episode]:
        """Every episode, as the environment shows it.

        Args:
            advance: Called with the number of episodes that were played.

        Raises:
            DataFileError: Rows that cannot have happened here; names line, column and repair.
        """
        block: list[list[tuple[int, Row]]] = []
        for group in self._groups():
            block.append(group)
            if len(block) == self._engine.n:
                yield from self._play(block, advance)
                block = []
        if block:
            yield from self._play(block, advance)

    def _groups(self) -> Iterator[list[tuple[int, Row]]]:
        """The episodes of the split that is played."""
        return (group for group in self._every_group() if group[0][1]["uid"] not in self._others)

    def _every_group(self) -> Iterator[list[tuple[int, Row]]]:
        """Rows of one episode each, with their lines; step 1 starts an episode."""
        group: list[tuple[int, Row]] = []
        for line, row in _read(self.path):
            step, uid = row.get("step"), row.get("uid")
            if not isinstance(uid, str):
                raise self._error(line, f"uid must be a text, got {uid!r}")
            if step == 1 and group:
                yield group
                group = []
            if step != len(group) + 1 or (group and uid != group[0][1]["uid"]):
                raise self._error(
                    line,
                    f"step {step!r} of {uid!r} does not follow: the rows of an episode "
                    "stand one after the other and are numbered from 1",
                )
            group.append((line, row))
        if group:
            yield group

    def _play(
        self, block: list[list[tuple[int, Row]]], advance: Callable[[int], None]
    ) -> Iterator[Episode]:
        k, n = len(block), self._engine.n
        decisions: list[Decisions] = [[self._action(*row) for row in group] for group in block]
        longest = max(map(len, block))
        outcomes = np.zeros((longest, n), OUTCOME_DTYPE)
        for slot, group in enumerate(block):
            self._fill(outcomes[:, slot], group, decisions[slot])
        indices = np.array([self._index(*group[0]) for group in block], np.int64)
        every = np.arange(n, dtype=np.int64)

        def step(t: int, actions: npt.NDArray[np.int64], observation: Observation) -> Records:
            results = self._engine.step_told(every, actions, outcomes[t], observation)
            for slot, group in enumerate(block):
                if t < len(group):
                    self._compare(*group[t], results[slot])
            return results

        for slot, episode in enumerate(
            play_block(self._engine, np.zeros(k, np.int64), indices, decisions, step)
        ):
            quality = block[slot][-1][1].get("quality")
            if quality is None or float(quality) != float(episode.state["quality"]):
                raise self._error(
                    block[slot][-1][0],
                    f"quality {quality!r}, but what was submitted has {episode.state['quality']:g}",
                )
            yield episode
            advance(1)

    def _index(self, line: int, row: Row) -> int:
        """Where an episode's query comes first in stream 0."""
        uid = row.get("uid")
        if uid not in self._indices:
            near = next(iter(self._indices))
            raise self._error(
                line,
                f"uid {uid!r} is not in split {self.config.split!r} of suite "
                f"{self.config.suite!r}, whose uids look like {near!r}",
            )
        return self._indices[uid]

    def _action(self, line: int, row: Row) -> tuple[int, int, int]:
        subtask, worker = row.get("subtask"), row.get("worker")
        if subtask not in SUBTASK_NAMES:
            raise self._error(
                line, f"subtask {subtask!r} is unknown, known: {', '.join(SUBTASK_NAMES)}"
            )
        what = SUBTASK_NAMES.index(subtask)
        if subtask in FREE:
            return 0, what, 0
        if worker not in self._workers:
            known = ", ".join(self._workers)
            raise self._error(line, f"worker {worker!r} is not in the pool: {known}")
        tokens = row.get("context_tokens") or 0
        level = next((i for i, most in enumerate(CONTEXT_LEVELS) if tokens <= most), None)
        if level is None:
            raise self._error(line, f"context_tokens are at most {CONTEXT_LEVELS[-1]}")
        return self._workers[worker], what, level

    def _fill(self, outcomes: Records, group: list[tuple[int, Row]], decisions: Decisions) -> None:
        """What the calls of one episode came back with."""
        answers: dict[Any, int] = {}
        quality = float(group[-1][1].get("quality") or 0.0)
        for t, ((line, row), (worker, _, _)) in enumerate(zip(group, decisions, strict=True)):
            status = row.get("status") or "ok"
            if status not in STATUSES:
                known = ", ".join(STATUSES)
                raise self._error(line, f"status {status!r} is unknown, known: {known}")
            out = outcomes[t]
            out["status"] = STATUSES[status]
            # An answer that is not told agrees with no other one.
            given = row.get("answer")
            key = ("told", str(given)) if given is not None else ("step", t)
            gave = status == "ok" and row.get("subtask") in ("solve", "revise", "aggregate")
            out["answer"] = answers.setdefault(key, len(answers)) if gave else MISSING
            out["confidence"] = self._number(line, row, "confidence", -1.0, 1.0)
            verdict = row.get("verdict")
            out["verdict"] = MISSING if verdict is None else int(bool(verdict))
            tokens_in, tokens_out = (
                int(self._number(line, row, name, 0.0)) for name in ("tokens_in", "tokens_out")
            )
            out["tokens_in"], out["tokens_out"] = tokens_in, tokens_out
            usd = self._number(line, row, "cost_usd", -1.0)
            out["cost"] = round(usd * NANO_USD)
            if usd < 0 and row.get("invalid") is None:
                card = self.world.tables.workers[worker]
                price_in, price_out = int(card["price_in"]), int(card["price_out"])
                out["cost"] = (tokens_in * price_in + tokens_out * price_out + 500) // 1000
            out["latency"] = round(self._number(line, row, "latency_s", 0.0) * MICROSECONDS)
            out["score"] = quality

    def _compare(self, line: int, row: Row, result: Any) -> None:
        """What the environment decides by itself must be what the row says."""
        rule, status = RULE_NAMES[int(result["rule"])], STATUS_NAMES[int(result["status"])]
        if rule != row.get("invalid"):
            raise self._error(line, f"invalid is {row.get('invalid')!r}, here it is {rule!r}")
        told = row.get("status") or (None if rule else "ok")
        if status != told:
            raise self._error(
                line,
                f"status is {told!r}, here it is {status!r}: an episode may spend "
                f"{self.config.budget_usd:g} USD. Leave this episode out, or call OwnSteps from "
                "Python with an EnvConfig of another budget_usd",
            )

    def _number(self, line: int, row: Row, name: str, missing: float, most: float = 1e9) -> float:
        value = row.get(name)
        if value is None:
            return missing
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
            raise self._error(line, f"{name} must lie in [0, {most:g}], got {value!r}")
        return float(value)

    def _error(self, line: int, problem: str) -> DataFileError:
        return DataFileError(f"{self.path}, line {line}: {problem}.")


def _read(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                try:
                    row = json.loads(text)
                except ValueError as error:
                    raise DataFileError(f"{path}, line {line}: not JSON: {error}.") from None
                if not isinstance(row, dict):
                    raise DataFileError(f"{path}, line {line}: not a JSON object.")
                yield line, row
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: cannot be read ({error}).") from None


def _uids_of_other_splits(config: EnvConfig) -> frozenset[str]:
    names = load_suite_card(config.suite).splits
    others = [load_split(config.suite, name).uids for name in names if name != config.split]
    return frozenset(uid for uids in others for uid in uids)
