"""`ConductorWorkflow-v0`: the paper's form, in which one action is a whole workflow."""

from typing import Any, Literal, SupportsFloat, get_args

import gymnasium as gym

from conductor_gym.episode_env import EpisodeEnv
from conductor_gym.errors import ConfigError, InvalidActionError, unknown_name
from conductor_gym.language.dialogue import Dialogue
from conductor_gym.language.lines import Refusal
from conductor_gym.language.settings import split_settings
from conductor_gym.language.space import AnyText
from conductor_gym.language.workflow import parse_workflow, write_workflow
from conductor_gym.language.workflow_dialogue import longest_dialogue, workflow_dialogue
from conductor_gym.language.workflow_run import WorkflowRunner, workflow_config
from conductor_gym.reward import paper_reward
from conductor_gym.types import MICROSECONDS

Reward = Literal["utility", "paper"]
"""``"utility"``: U - 0.01 for each invalid action; ``"paper"``: 0, 0.5 or 1, see `paper_reward`."""
REPLY_CHARACTERS = 2**20
"""Most characters of a reply in the action space; `step` takes longer ones too."""
_EXAMPLES = (
    "solve 0",
    "solve 0\nverify 0 sees 1\nrevise 0 sees 1,2",
    "solve 0\nsolve 0\naggregate 0 sees 1,2",
    "submit",
)


class ConductorWorkflowEnv(EpisodeEnv[str, str]):
    """One episode is one query; one step is a workflow: who does what, and who sees what of it.

    As in Sakana's "RL Conductor" (arXiv 2512.04388): at most 5 steps, run as a graph whose
    independent steps overlap in time, so that latency is the makespan. A reply is read by
    `parse_workflow`; one that holds no workflow costs 0.01 and ends the episode, as every workflow
    does that does not call the conductor again. The engine is that of `Conductor-v0`.

    Simulated and recorded workers ignore the words of a step; live ones read them.

    ``info`` after a step is that of `Conductor-v0`, where ``status`` is of the workflow's last step
    (None without one) and ``invalid`` the first rule that was broken, and ``workflow``, in
    canonical form, or None; ``refusal``, why none was read, or None; ``steps``: a dictionary for
    each step with ``step``, ``worker``, ``subtask``, ``sees``, ``status``, ``invalid``,
    ``begins_s``, ``ends_s``, ``cost_usd``; ``makespan_s``, of this workflow; ``messages``: the
    dialogue as a chat. Uid, domain and prompt are in it also where ``hidden`` keeps them from the
    observation.

    Args:
        reward: What is paid.
        render_mode: ``"ansi"`` returns the episode so far as text, ``"human"`` prints it.
        **settings: Those of `ConductorEnv` but ``max_steps``, which follows from ``rounds``, and of
            `LanguageOptions` but ``interface``: workers, shuffled, offered, instructed,
            query_characters, hidden, rounds.

    Attributes:
        options: How episodes are told.
        runner: The workflows of the episode.

    Raises:
        ConductorError: As `ConductorEnv`.
    """

    def __init__(
        self, *, reward: Reward = "utility", render_mode: str | None = None, **settings: Any
    ) -> None:
        if reward not in get_args(Reward):
            raise unknown_name("reward", reward, get_args(Reward))
        if "max_steps" in settings:
            raise ConfigError(
                "max_steps is no setting of workflows: they have 5 steps. Pass rounds=2 or more "
                "for more workflows an episode."
            )
        config, self.options = split_settings(settings, "workflow", also=("reward", "render_mode"))
        self.reward: Reward = reward
        super().__init__(workflow_config(config, self.options), render_mode)
        self.runner = WorkflowRunner(self.engine, self.options)
        self.observation_space: gym.Space[Any] = AnyText(longest_dialogue(self.runner))
        self.action_space: gym.Space[Any] = AnyText(REPLY_CHARACTERS, _EXAMPLES)
        self._dialogue: Dialogue | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start the next episode, see `ConductorEnv.reset`.

        Args:
            seed: Start this stream at index 0.
            options: ``{"episode_index": k}`` plays index k of the stream.

        Returns:
            The dialogue, and info.
        """
        _, info = self._begin(seed, options)
        self.runner.forget(self._slot)
        return self._tell(info), info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Run one workflow.

        Args:
            action: What a model replied.

        Returns:
            Dialogue, reward, terminated, truncated (always False), info.

        Raises:
            EpisodeOverError: No episode is running.
            InvalidActionError: The action is no text; the episode is unchanged.
        """
        self._check_running()
        if not isinstance(action, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidActionError(
                f"an action is a text such as 'solve 0', got {str(action)[:80]!r} of "
                f"{type(action).__name__}. Numbers are for Conductor-v0."
            )
        before = int(self.engine.episodes[0]["latency"])
        workflow = parse_workflow(action, self.dialogue.offer)
        paid, over, info = self._came(self.runner.run(self._slot, [workflow]))
        refused = isinstance(workflow, Refusal)
        info["workflow"] = None if refused else write_workflow(workflow)
        info["refusal"] = workflow.reason if refused else None
        steps = self.runner.outcomes(0)
        broken = [step["invalid"] for step in steps if step["invalid"]]
        info["invalid"] = "unreadable" if refused else broken[0] if broken else None
        info["status"] = steps[-1]["status"] if steps else None
        info["steps"] = steps
        info["makespan_s"] = (int(self.engine.episodes[0]["latency"]) - before) / MICROSECONDS
        if self.reward == "paper":
            paid = float(paper_reward(not refused, info["quality"])) if over else 0.0
        if self.render_mode == "human":
            self.render()
        return self._tell(info), paid, over, False, info

    @property
    def dialogue(self) -> Dialogue:
        """The episode so far: its chat, and what can be chosen now."""
        if self._dialogue is None:
            self._check_running()
            self._dialogue = workflow_dialogue(self.runner, 0)
        return self._dialogue

    def _tell(self, info: dict[str, Any]) -> str:
        self._dialogue = workflow_dialogue(self.runner, 0)
        info["messages"] = [message._asdict() for message in self._dialogue.messages]
        return self._dialogue.text()
