"""What good agents did, told as chats: the examples that a language model is fine-tuned on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Observations, Setting
from conductor_gym.agents.llm_config import LESSONS, LlmConfig, Sft
from conductor_gym.agents.reading import domain
from conductor_gym.agents.registry import agent_card, make_agent
from conductor_gym.agents.teachers import choose_teachers
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.language.dialogue import Dialogue, dialogue_of
from conductor_gym.language.offer import offer_of
from conductor_gym.language.options import Hidden, LanguageOptions
from conductor_gym.reward import COST_WEIGHTS, WEIGHT_SCALE
from conductor_gym.types import Subtask

_HIDE = 0x68696465
"""Tells the draw of what is hidden from other draws."""

Teach = Callable[[Observations, npt.NDArray[np.int64]], npt.NDArray[np.int64]]
"""Actions [k, 3] from the observations of k slots and the domains that they began with [k]."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """Episodes that teachers played.

    Attributes:
        dialogues: Of whole episodes.
        utilities: float64 [n], of the same.
        dropped: Episodes left out, since their teacher chose a worker that is not offered, or did
            something invalid.
    """

    dialogues: list[Dialogue]
    utilities: npt.NDArray[np.float64]
    dropped: int


def llm_lessons(
    setting: Setting, config: LlmConfig, sft: Sft, split: str, episodes: int, stream: int
) -> Lessons:
    """Have the teachers play, and tell what they did.

    Args:
        setting: What the learner is built for; its training environment is played.
        config: How it is trained.
        sft: Its stage of fine-tuning.
        split: ``"train"`` or ``"dev"``.
        episodes: How many.
        stream: Their stream; indices are 0, 1, ...
    """
    environment = replace(setting.train, split=split, cost_weight=config.cost_weight)
    engine = Engine(environment, episodes)
    slots = np.arange(episodes, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(slots, np.full(episodes, stream), slots, observation)
    began = domain(observation._asdict())
    by_weight = {
        weight: [_teach(name, replace(setting, cost_weight=weight)) for name in sft.teachers]
        for weight in (COST_WEIGHTS if config.cost_weight is None else (config.cost_weight,))
    }
    weights = engine.episodes["cost_weight"] / WEIGHT_SCALE
    while len(live := np.flatnonzero(engine.episodes["over"] == 0)):
        actions = np.zeros((episodes, 3), np.int64)
        for weight, teaches in by_weight.items():
            for k, teach in enumerate(teaches):
                mine = np.isclose(weights[live], weight) & (live % len(teaches) == k)
                rows = live[mine]
                if len(rows):
                    seen = {name: array[rows] for name, array in observation._asdict().items()}
                    actions[rows] = teach(seen, began[rows])
        engine.step(actions, observation)
    options = _told(config.language, sft.hide_share, episodes, stream)
    kept = [slot for slot in range(episodes) if _can_be_told(engine, slot, options[slot])]
    done = engine.episodes[kept]
    return Lessons(
        [dialogue_of(engine, slot, options[slot]) for slot in kept],
        done["quality"] - done["charge"] * 1e-9,
        episodes - len(kept),
    )


def _teach(name: str, setting: Setting) -> Teach:
    if name == LESSONS:
        _, agents, best = choose_teachers(setting, setting.cost_weight)
        # A domain that dev lacks is played by the first teacher.
        return _by_domain(agents, np.maximum(best, 0))
    card = agent_card(name)
    if card.trained or card.online or card.privileged:
        kind = "trained" if card.trained else "online" if card.online else "privileged"
        raise ConfigError(f"agent {name!r} is {kind}: a teacher is fixed, such as 'divide'.")
    agent: Agent = make_agent(name, setting)
    return lambda seen, began: agent.act(seen)


def _by_domain(agents: list[Agent], best: npt.NDArray[np.int64]) -> Teach:
    def teach(seen: Observations, began: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        actions = np.zeros((len(began), 3), np.int64)
        for k in np.unique(best[began]):
            rows = np.flatnonzero(best[began] == k)
            part = {name: array[rows] for name, array in seen.items()}
            actions[rows] = agents[int(k)].act(part)
        return actions

    return teach


def _told(
    options: LanguageOptions, share: float, episodes: int, stream: int
) -> list[LanguageOptions]:
    """How each episode is told: a share hides the query, as large a one the answers."""
    draws = np.random.default_rng([_HIDE, stream]).random(episodes)

    def hiding(part: Hidden) -> LanguageOptions:
        return replace(options, hidden=(*options.hidden, part))

    query, answers = hiding("query"), hiding("answers")
    return [query if d < share else answers if d < 2 * share else options for d in draws]


def _can_be_told(engine: Engine, slot: int, options: LanguageOptions) -> bool:
    """Whether every action is valid and goes to a worker that is offered."""
    steps = engine.state.steps[slot, : int(engine.episodes[slot]["steps"])]
    calls = steps[(steps["subtask"] != Subtask.SUBMIT) & (steps["subtask"] != Subtask.VOTE)]
    offered = offer_of(engine, slot, options).slots
    return not steps["rule"].any() and bool(np.isin(calls["worker"], offered).all())
