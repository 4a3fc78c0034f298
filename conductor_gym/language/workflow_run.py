"""Running workflows in the slots of an engine: many at once, their steps overlapping in time.

Each step is one of the engine's, in order of its number, seeing what its line names and nothing
else (`conductor_gym.language.seeing`). It begins when all that it sees is back, so an episode's
latency is the makespan. After the last step the newest answer is submitted.

A step without a written context level gets the largest one with which its call fits the worker's
window where it sees steps or the task has documents, else level 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.results import RESULT_DTYPE, RULE_NAMES, STATUS_NAMES
from conductor_gym.dynamics.state import Records
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.language.lines import FREE, Line, Refusal
from conductor_gym.language.offer import MAX_WORKFLOW_STEPS, Offer, offer_of
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.seeing import step_alone, step_seeing
from conductor_gym.language.workflow import Workflow, checked
from conductor_gym.types import MICROSECONDS, MISSING, NANO_USD, UNREADABLE_ACTION, Subtask

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Round:
    """One workflow of an episode and the steps that were made of it.

    Attributes:
        workflow: As it was run; a refusal where the reply held none.
        first: Row in the episode's steps of its first one.
        made: How many were made: fewer than it has where money ran out.
    """

    workflow: Workflow | Refusal
    first: int
    made: int


@dataclass(frozen=True)
class Decision:
    """One step as it was made, enough to make it again.

    Attributes:
        action: (worker slot, subtask, context level); `UNREADABLE_ACTION` where none was read.
        seen: Bits of the past steps that it saw.
    """

    action: tuple[int, int, int]
    seen: int


def workflow_config(config: EnvConfig, options: LanguageOptions) -> EnvConfig:
    """Settings with room for all steps of all workflows and the submit.

    Args:
        config: The settings.
        options: Of the workflow interface.
    """
    return replace(config, max_steps=MAX_WORKFLOW_STEPS * options.rounds + 1)


class WorkflowRunner:
    """Workflows over the slots of one engine.

    Args:
        engine: Of settings that `workflow_config` gave.
        options: Of the workflow interface.

    Attributes:
        rounds: By slot, the workflows of its episode so far.
        decisions: By slot and workflow, the steps as they were made.
    """

    def __init__(self, engine: Engine, options: LanguageOptions) -> None:
        needed = MAX_WORKFLOW_STEPS * options.rounds + 1
        if options.interface != "workflow":
            raise ConfigError("workflows need LanguageOptions(interface='workflow').")
        if engine.world.config.max_steps < needed:
            raise ConfigError(
                f"{options.rounds} workflows an episode need max_steps={needed}, got "
                f"{engine.world.config.max_steps}: make the settings with `workflow_config`."
            )
        self.engine, self.options = engine, options
        shape = engine.state.steps.shape
        self._chosen = np.full(shape, MISSING, np.int64)
        self._begins, self._ends = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._observation = engine.new_observation()
        self.rounds: list[list[Round]] = [[] for _ in range(engine.n)]
        self.decisions: list[list[list[Decision]]] = [[] for _ in range(engine.n)]

    def start(self, slots: Ints, streams: Ints, indices: Ints) -> None:
        """Start episodes, as `Engine.start`.

        Args:
            slots: int64 [k].
            streams: int64 [k].
            indices: int64 [k], episode indices.
        """
        self.engine.start(slots, streams, indices, self._observation)
        self.forget(slots)

    def forget(self, slots: Ints) -> None:
        """Forget the workflows of some slots, whose engine has just started episodes there."""
        for slot in map(int, slots):
            self.rounds[slot] = []
            self.decisions[slot] = []

    def offer(self, slot: int) -> Offer:
        """What a slot's next workflow can be made of."""
        return offer_of(self.engine, slot, self.options, len(self.rounds[slot]))

    def run(self, slots: Ints, workflows: Sequence[Workflow | Refusal | None]) -> Records:
        """Run one workflow in each of some slots.

        A reply that holds no workflow spends one invalid action, and then the current answer is
        submitted. Where no money is left, later steps are not made.

        Args:
            slots: int64 [k], none of them over.
            workflows: One a slot; a refusal or None where the reply holds none.

        Returns:
            `RESULT_DTYPE` [n]; the reward is that of all steps together, 0 where nothing was run.

        Raises:
            ConductorError: A live call that no attempt can make. Steps before it stay made.
        """
        episodes = self.engine.episodes
        results = np.zeros(self.engine.n, RESULT_DTYPE)
        first = episodes["steps"].copy()
        started: Ints = episodes["latency"].copy()
        given: dict[int, Workflow | Refusal] = {}
        for slot, workflow in zip(map(int, slots), workflows, strict=True):
            if workflow is None:
                workflow = Refusal("no workflow was given")
            if isinstance(workflow, Workflow):
                workflow = checked(workflow, self.offer(slot))
            given[slot] = workflow
            made: list[Decision] = []
            self.decisions[slot].append(made)
        for k in range(MAX_WORKFLOW_STEPS):
            lines = {
                slot: workflow.steps[k]
                for slot, workflow in given.items()
                if isinstance(workflow, Workflow)
                and k < len(workflow.steps)
                and not episodes["over"][slot]
            }
            if not lines:
                break
            self._step(lines, started, results)
        refused = [slot for slot, workflow in given.items() if isinstance(workflow, Refusal)]
        self._free(refused, UNREADABLE_ACTION, results)
        for slot in refused:
            self.decisions[slot][-1].append(Decision(UNREADABLE_ACTION, 0))
        for slot, workflow in given.items():
            steps = int(episodes["steps"][slot] - first[slot])
            self.rounds[slot].append(Round(workflow, int(first[slot]), steps))
        self._free(
            [slot for slot, workflow in given.items() if not _again(workflow)],
            (0, int(Subtask.SUBMIT), 0),
            results,
        )
        return results

    def outcomes(self, slot: int) -> list[dict[str, Any]]:
        """What the steps of a slot's newest workflow came to, for `info`."""
        newest = self.rounds[slot][-1]
        if isinstance(newest.workflow, Refusal):
            return []
        names = self.engine.world.pool.worker_names
        told: list[dict[str, Any]] = []
        for i, line in enumerate(newest.workflow.steps[: newest.made]):
            t = newest.first + i
            step: Any = self.engine.state.steps[slot, t]
            worker = int(step["worker"])
            told.append(
                {
                    "step": t + 1,
                    "worker": names[worker] if worker >= 0 else None,
                    "subtask": line.subtask.name.lower(),
                    "sees": line.sees,
                    "status": STATUS_NAMES[int(step["status"])],
                    "invalid": RULE_NAMES[int(step["rule"])],
                    "begins_s": int(self._begins[slot, t]) / MICROSECONDS,
                    "ends_s": int(self._ends[slot, t]) / MICROSECONDS,
                    "cost_usd": int(step["cost"]) / NANO_USD,
                }
            )
        return told

    def _step(self, lines: dict[int, Line], started: Ints, results: Records) -> None:
        """One step in each of some slots."""
        engine = self.engine
        n, tables = engine.n, engine.world.tables
        slots = np.array(sorted(lines), np.int64)
        actions, fitted = np.zeros((n, 3), np.int64), np.zeros(n, bool)
        seen, begins = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for slot, line in lines.items():
            sees = [step - 1 for step in line.sees or ()]
            seen[slot] = sum(1 << t for t in sees)
            begins[slot] = max([started[slot], *self._ends[slot, sees].tolist()])
            worker = 0 if line.subtask in FREE else self._slot_of(slot, line.worker)
            actions[slot] = worker, line.subtask, line.level or 0
            documents = tables.queries[engine.episodes[slot]["query"]]["documents"] > 0
            fits = line.subtask not in FREE and line.level is None
            fitted[slot] = fits and (bool(sees) or bool(documents))
            engine.instruct(slot, line.words)
        rows = engine.episodes["steps"][slots].copy()
        made = step_seeing(
            engine, slots, actions, fitted, seen, begins, self._chosen, self._observation
        )
        self._begins[slots, rows] = begins[slots]
        self._ends[slots, rows] = begins[slots] + engine.state.steps[slots, rows]["latency"]
        _add(results, made, slots)
        for slot in map(int, slots):
            worker, subtask, level = actions[slot].tolist()
            self.decisions[slot][-1].append(Decision((worker, subtask, level), int(seen[slot])))

    def _slot_of(self, slot: int, worker: int) -> int:
        return self.offer(slot).slots[worker]

    def _free(self, slots: list[int], action: tuple[int, int, int], results: Records) -> None:
        """A step that asks nobody in those of some slots that are not over."""
        running = np.array([s for s in slots if not self.engine.episodes["over"][s]], np.int64)
        if not len(running):
            return
        actions = np.zeros((self.engine.n, 3), np.int64)
        actions[running] = action
        made = step_alone(self.engine, running, actions, self._observation)
        _add(results, made, running)


def _again(workflow: Workflow | Refusal) -> bool:
    return isinstance(workflow, Workflow) and workflow.again


def _add(results: Records, made: Records, slots: Ints) -> None:
    """Take over what some slots came to, their rewards added up."""
    reward = results["reward"][slots] + made["reward"][slots]
    results[slots] = made[slots]
    results["reward"][slots] = reward
