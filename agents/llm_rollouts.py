"""Rollouts for GRPO: groups of whole episodes, written by the model in training; imported late."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.llm_config import Grpo
from conductor_gym.agents.llm_draw import EpisodeDraw, Place
from conductor_gym.agents.llm_writers import Writer
from conductor_gym.config import EnvConfig
from conductor_gym.language.episode_tokens import ChatTokens
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.rollouts import Rollouts, Turn
from conductor_gym.types import Subtask


@dataclass(eq=False)
class Rollout:
    """One episode as a trainer takes it.

    Attributes:
        prompt: Tokens before the first reply.
        completion: Tokens behind it, the environment's too.
        mask: 1 where the model wrote a token of the completion.
        logprobs: Of each token, 0 for those of the environment.
    """

    prompt: list[int]
    completion: list[int] = field(default_factory=lambda: [])
    mask: list[int] = field(default_factory=lambda: [])
    logprobs: list[float] = field(default_factory=lambda: [])

    def add(self, tokens: Sequence[int], own: bool, logprobs: Sequence[float] | None) -> None:
        """Append tokens."""
        self.completion += tokens
        self.mask += [int(own)] * len(tokens)
        self.logprobs += [0.0] * len(tokens) if logprobs is None else logprobs


@dataclass(frozen=True, eq=False)
class Played:
    """What n rollouts came to.

    Attributes:
        rollouts: n.
        rewards: float64 [n], what the trainer maximizes.
        quality: float64 [n].
        utility: float64 [n].
        invalid: int64 [n], invalid actions.
        steps: int64 [n].
        calls: int64 [workers], calls of each worker in all.
        environment_s: Seconds spent outside the model: steps, chats, tokens.
        wall_s: Seconds in all.
    """

    rollouts: list[Rollout]
    rewards: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    utility: npt.NDArray[np.float64]
    invalid: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    calls: npt.NDArray[np.int64]
    environment_s: float
    wall_s: float


def play_rollouts(
    rollouts: Rollouts,
    places: Sequence[Place],
    writer: Writer,
    chat: ChatTokens,
    grpo: Grpo,
    anyone: Callable[[bool], bool] = lambda running: running,
) -> Played:
    """Play episodes to their ends, or until their tokens are used up.

    An episode that has no room left for another reply ends as if its reply had been unreadable from
    then on: what is spent stays spent, and its answer so far is submitted when its steps run out.

    Args:
        rollouts: n episodes side by side.
        places: n, those of a group equal.
        writer: Of the replies.
        chat: How chats become tokens.
        grpo: The stage.
        anyone: Whether an episode of any process is running, given whether one of this one's is.
    """
    began = time.perf_counter()
    writing_s = 0.0
    dialogues = rollouts.start([p.stream for p in places], [p.episode for p in places])
    played = [Rollout(chat.prompt(dialogue.messages)) for dialogue in dialogues]
    rewards = np.zeros(rollouts.n)
    news: list[list[int] | None] = [[] for _ in played]
    full = [False] * rollouts.n
    turn: Turn | None = None
    then = time.perf_counter()
    writer.begin([rollout.prompt for rollout in played])
    writing_s += time.perf_counter() - then
    while anyone(turn is None or not turn.over.all()):
        then = time.perf_counter()
        replies = writer.write(news)
        writing_s += time.perf_counter() - then
        texts: list[str | None] = [None] * rollouts.n
        for slot, reply in enumerate(replies):
            if turn is not None and turn.over[slot]:
                continue
            if full[slot]:
                texts[slot] = ""
                continue
            if news[slot]:
                played[slot].add(news[slot] or [], False, None)
            played[slot].add(reply.tokens, True, reply.logprobs)
            texts[slot] = chat.read(reply.tokens)
        turn = rollouts.step(texts)
        rewards += turn.rewards
        for slot, dialogue in enumerate(turn.dialogues):
            news[slot] = None
            if dialogue is None or full[slot]:
                continue
            more = chat.news(dialogue.messages[-1].content)
            if played[slot].completion[-1] != chat.end:  # it was cut
                more = [chat.end, *more]
            room = grpo.max_tokens - len(played[slot].completion) - len(more) - grpo.reply_tokens
            full[slot] = room < 0
            news[slot] = None if full[slot] else more
    if turn is None:
        raise RuntimeError("no rollout was played")
    if grpo.reward == "paper":
        rewards = np.where(turn.invalid > 0, 0.0, np.where(turn.quality >= 1.0, 1.0, 0.5))
    wall_s = time.perf_counter() - began
    return Played(
        played,
        rewards,
        turn.quality,
        turn.utility,
        turn.invalid,
        rollouts.engine.episodes["steps"].astype(np.int64),
        _calls(rollouts),
        wall_s - writing_s,
        wall_s,
    )


def _calls(rollouts: Rollouts) -> npt.NDArray[np.int64]:
    """Calls of each worker."""
    engine = rollouts.engine
    calls = np.zeros(len(engine.world.pool.worker_names), np.int64)
    for steps, made in zip(engine.state.steps, engine.episodes["steps"], strict=True):
        done = steps[: int(made)]
        done = done[(done["rule"] == 0) & (done["subtask"] < Subtask.VOTE)]
        calls += np.bincount(done["worker"], minlength=len(calls))
    return calls


class RolloutFunction:
    """What TRL's GRPO trainer calls for rollouts: prompts are group numbers, as texts.

    Args:
        config: The environment.
        options: How episodes are told.
        grpo: The stage.
        draw: Of episodes.
        chat: How chats become tokens.
        writer: Makes the writer of a trainer, given the number of its first group.
    """

    def __init__(
        self,
        config: EnvConfig,
        options: LanguageOptions,
        grpo: Grpo,
        draw: EpisodeDraw,
        chat: ChatTokens,
        writer: Callable[[Any, int], Any],
    ) -> None:
        self._config, self._options, self._grpo = config, options, grpo
        self._draw, self._chat, self._writer = draw, chat, writer
        self._rollouts: Rollouts | None = None

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """See `GRPOTrainer.rollout_func`; `earned` and `measures` go on to the reward function."""
        import accelerate  # pyright: ignore[reportMissingTypeStubs]

        library: Any = accelerate
        gather: Any = library.utils.gather_object
        groups = [int(prompt) for prompt in prompts]
        began = time.perf_counter()
        place_of = {group: self._draw.place(group) for group in sorted(set(groups))}
        drawing_s = time.perf_counter() - began
        if self._rollouts is None or self._rollouts.n != len(prompts):
            self._rollouts = Rollouts(self._config, self._options, len(prompts))

        def anyone(running: bool) -> bool:
            if trainer.accelerator.num_processes == 1:
                return running
            return any(gather([running]))

        with self._writer(trainer, min(groups)) as writer:
            places = [place_of[group] for group in groups]
            played = play_rollouts(self._rollouts, places, writer, self._chat, self._grpo, anyone)
        everywhere: list[tuple[int, int, float]] = gather(
            [
                (group, place_of[group].query, float(reward))
                for group, reward in zip(groups, played.rewards, strict=True)
            ]
        )
        rewards_of: dict[tuple[int, int], list[float]] = defaultdict(list)
        for group, query, reward in everywhere:
            rewards_of[group, query].append(reward)
        self._draw.learn((query, got) for (_, query), got in sorted(rewards_of.items()))
        return {
            "prompt_ids": [rollout.prompt for rollout in played.rollouts],
            "completion_ids": [rollout.completion for rollout in played.rollouts],
            "env_mask": [rollout.mask for rollout in played.rollouts],
            "logprobs": [rollout.logprobs for rollout in played.rollouts],
            "earned": played.rewards.tolist(),
            "measures": measures(played, list(rewards_of.values()), drawing_s),
        }


def measures(
    played: Played, groups: Sequence[Sequence[float]], drawing_s: float
) -> dict[str, float]:
    """What is watched while a model is trained, by name.

    Args:
        played: The rollouts of this process.
        groups: Rewards of each group, of all processes.
        drawing_s: Seconds in which episodes were drawn.
    """
    calls = max(1, int(played.calls.sum()))
    return {
        "mean_return": float(played.rewards.mean()),
        "quality": float(played.quality.mean()),
        "utility": float(played.utility.mean()),
        "invalid_share": float(played.invalid.sum() / max(1, played.steps.sum())),
        "steps_per_episode": float(played.steps.mean()),
        "flat_groups": float(np.mean([np.ptp(group) < 1e-9 for group in groups])),
        "largest_worker_share": float(played.calls.max() / calls),
        "environment_s": played.environment_s + drawing_s,
        "rollout_s": played.wall_s + drawing_s,
    }
