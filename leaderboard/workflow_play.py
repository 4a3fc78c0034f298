"""Playing an agent that writes workflows, over the episodes of `evaluate.play`.

A decision is `pack_action`'s code, with the bits of the past steps that the step saw above bit 16;
`AGAIN` stands where the conductor was called again. That is enough to play the episode again.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Agent, Observations
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.engines import new_engine
from conductor_gym.errors import AgentError
from conductor_gym.language.dialogue import Dialogue
from conductor_gym.language.lines import Line, Refusal, as_line
from conductor_gym.language.offer import Offer
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.workflow import Workflow
from conductor_gym.language.workflow_dialogue import workflow_dialogue
from conductor_gym.language.workflow_run import Decision, WorkflowRunner, workflow_config
from conductor_gym.leaderboard.evaluate import AGAIN, STREAM, Episodes, pack_action, unpack_action
from conductor_gym.leaderboard.reading import usual_batch, usual_time_limit
from conductor_gym.leaderboard.supervision import Supervisor
from conductor_gym.leaderboard.told_play import told_engine
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.options import CONCURRENT, LiveOptions
from conductor_gym.types import MISSING, Subtask
from conductor_gym.world import make_world

SEEN_SHIFT = 16
_SUBMIT = Decision((0, int(Subtask.SUBMIT), 0), 0)

Plans = Sequence[Workflow | Refusal | None]
Ints = npt.NDArray[np.int64]


class WorkflowAgent(Protocol):
    """A policy whose every answer is a workflow.

    Attributes:
        language: How episodes are told to it; its interface is ``"workflow"``.
    """

    language: LanguageOptions

    def plan(self, dialogues: list[Dialogue]) -> Plans:
        """One workflow for each dialogue; None or a refusal where none could be read.

        Own tokens are noted in the dialogues.
        """
        ...


def play_workflows(
    agent: WorkflowAgent,
    config: EnvConfig,
    episodes: int,
    batch: int | None = None,
    advance: Callable[[int], None] | None = None,
    time_limit_s: float | None = None,
    live: LiveOptions | None = None,
    watch: Callable[[Engine], None] | None = None,
) -> Episodes:
    """Play episodes 0..N-1 of stream 0, simulated, recorded or live.

    Args:
        agent: A policy. What it does wrong loses the episode in which it does so.
        config: The environment that is scored; its steps follow from the agent's rounds.
        episodes: N.
        batch: Episodes side by side; the result does not depend on it. None: as suits the agent.
        advance: Called with the number of episodes that were finished.
        time_limit_s: Seconds that one call of `plan` may take. None: as suits it.
        live: Journal and ceiling, where the workers are live.
        watch: Called with the engine of live or told workers before it plays.

    Raises:
        ConductorError: A live call that no attempt can make.
    """
    policy = cast(Agent, agent)
    limit = usual_time_limit(policy) if time_limit_s is None else time_limit_s
    supervisor = _PlanSupervisor(agent, limit)
    config = workflow_config(config, agent.language)
    n = min(episodes, usual_batch(policy) if batch is None else batch)
    if make_world(config).told:
        n = min(n, CONCURRENT if live is None else live.concurrent)
        engine: Engine = told_engine(config, n, live)
        if watch is not None:
            watch(engine)
    else:
        engine = new_engine(config, n)
    try:
        return _play(supervisor.ask, engine, agent.language, episodes, advance)
    finally:
        if isinstance(engine, LiveEngine):
            engine.close()


def replay_workflows(
    decisions: list[list[int]], config: EnvConfig, options: LanguageOptions
) -> Episodes:
    """Play recorded decisions again: recomputing a score from them.

    Args:
        decisions: As in the `Episodes` of `play_workflows`.
        config: The environment that was scored.
        options: Of the agent.
    """
    rounds = [_rounds(codes) for codes in decisions]

    def ask(
        dialogues: list[Dialogue], indices: list[int], had: list[int]
    ) -> tuple[Plans, dict[int, str]]:
        plans: list[Workflow | None] = []
        for dialogue, index, k in zip(dialogues, indices, had, strict=True):
            last = k + 1 == len(rounds[index])
            plans.append(_workflow(rounds[index][k], last, dialogue.offer))
        return plans, {}

    engine = new_engine(workflow_config(config, options), len(decisions))
    return _play(ask, engine, options, len(decisions), None)


Ask = Callable[[list[Dialogue], list[int], list[int]], tuple[Plans, dict[int, str]]]


def _play(
    ask: Ask,
    engine: Engine,
    options: LanguageOptions,
    episodes: int,
    advance: Callable[[int], None] | None,
) -> Episodes:
    """Play with answers to (dialogues, indices of their episodes, workflows they have had)."""
    runner = WorkflowRunner(engine, options)
    quality, own = np.zeros(episodes), np.zeros((episodes, 2), np.int64)
    totals = np.zeros((3, episodes), np.int64)
    decisions: list[list[int]] = [[] for _ in range(episodes)]
    failures: dict[int, str] = {}
    playing = np.arange(engine.n, dtype=np.int64)
    active, handed_out = playing.copy(), engine.n
    runner.start(active, np.full(len(active), STREAM), playing)
    while len(active):
        slots: list[int] = active.tolist()
        indices: list[int] = playing[active].tolist()
        dialogues = [workflow_dialogue(runner, slot) for slot in slots]
        plans, failed = ask(dialogues, indices, [len(runner.rounds[slot]) for slot in slots])
        for index, dialogue in zip(indices, dialogues, strict=True):
            own[index] += dialogue.tokens_in, dialogue.tokens_out
        failures |= {indices[row]: why for row, why in failed.items()}
        results = runner.run(active, plans)
        over = active[results["over"][active]]
        done, index = engine.episodes[over], playing[over]
        quality[index] = done["quality"]
        totals[:, index] = done["cost"], done["latency"], done["invalid"]
        for slot in map(int, over):
            decisions[int(playing[slot])] = _codes(runner, slot)
        if advance is not None and len(over):
            advance(len(over))
        again = over[: episodes - handed_out]
        playing[again] = handed_out + np.arange(len(again))
        handed_out += len(again)
        if len(again):
            runner.start(again, np.full(len(again), STREAM), playing[again])
        active = np.setdiff1d(active, over[len(again) :], assume_unique=True)
    failures = {index: failures[index] for index in sorted(failures)}
    quality[list(failures)] = 0.0
    cost, latency, invalid = totals
    return Episodes(quality, cost, latency, invalid, decisions, failures, own)


class _PlanSupervisor:
    """Asks for workflows under `Supervisor`, which finds the rows on which an agent fails."""

    def __init__(self, agent: WorkflowAgent, limit: float) -> None:
        self._agent = agent
        self._plans: dict[int, Workflow | Refusal | None] = {}
        self._supervisor = Supervisor(self, 1, limit)

    def ask(
        self, dialogues: list[Dialogue], indices: list[int], had: list[int]
    ) -> tuple[Plans, dict[int, str]]:
        """Workflows, which submit where the agent gave none, and why it gave none."""
        del indices, had
        self._plans = {}
        column = np.empty(len(dialogues), object)
        column[:] = dialogues
        _, failed = self._supervisor.ask({"budget": np.zeros(len(dialogues)), "dialogue": column})
        failed = {row: why.replace("act()", "plan()") for row, why in failed.items()}
        submits = dict.fromkeys(failed, Workflow(()))
        plans = [submits.get(i, self._plans.get(id(d))) for i, d in enumerate(dialogues)]
        return plans, failed

    def act(self, observation: Observations) -> Actions:
        """Plan for some dialogues; actions that mean nothing."""
        dialogues: list[Dialogue] = list(cast(Any, observation["dialogue"]))
        plans = list(self._agent.plan(dialogues))
        if len(plans) != len(dialogues):
            raise AgentError(f"{len(plans)} workflows for {len(dialogues)} dialogues")
        for plan in plans:
            if not isinstance(plan, Workflow | Refusal | None):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise AgentError(f"expected a Workflow or None, got {str(plan)[:80]!r}")
        self._plans |= {id(d): plan for d, plan in zip(dialogues, plans, strict=True)}
        return np.zeros((len(plans), 3), np.int64)


def _codes(runner: WorkflowRunner, slot: int) -> list[int]:
    """All decisions of a slot's episode, which is over."""
    codes: list[int] = []
    for k, made in enumerate(runner.decisions[slot]):
        codes += [AGAIN] if k else []
        codes += [_packed(decision) for decision in made]
    last = runner.engine.state.steps[slot, runner.engine.episodes["steps"][slot] - 1]
    return [*codes, _packed(_SUBMIT)] if last["subtask"] == Subtask.SUBMIT else codes


def _packed(decision: Decision) -> int:
    code = int(pack_action(np.array([decision.action], np.int64))[0])
    return code if code == MISSING else code | decision.seen << SEEN_SHIFT


def _rounds(codes: list[int]) -> list[list[int]]:
    """The codes of each workflow, without the submit."""
    rounds: list[list[int]] = [[]]
    for code in codes:
        if code == AGAIN:
            rounds.append([])
        elif code != _packed(_SUBMIT):
            rounds[-1].append(code)
    return rounds


def _workflow(codes: list[int], last: bool, offer: Offer) -> Workflow | None:
    """The workflow that was made of such steps; None of an unreadable reply."""
    steps: list[Line] = []
    for code in codes:
        if code == MISSING:
            return None
        seen = code >> SEEN_SHIFT
        line = as_line(unpack_action(code & ((1 << SEEN_SHIFT) - 1)), offer)
        sees = tuple(t + 1 for t in range(seen.bit_length()) if (seen >> t) & 1)
        steps.append(Line(line.subtask, line.worker, line.level, sees))
    return Workflow(tuple(steps), again=not last)
