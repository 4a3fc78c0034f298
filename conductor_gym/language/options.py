"""How an episode is told to a language model."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from conductor_gym.config import whole_number
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.types import MAX_SLOTS

Interface = Literal["text", "workflow"]
"""``"text"``: one action a reply; ``"workflow"``: a whole workflow a reply."""
Naming = Literal["named", "anonymous"]
Hidden = Literal["query", "answers"]
HIDDEN: tuple[Hidden, ...] = get_args(Hidden)
MAX_ROUNDS = 8


@dataclass(frozen=True)
class LanguageOptions:
    """How an episode is told to a language model.

    Attributes:
        interface: One action a reply, or a whole workflow.
        workers: Workers by name and price, or as ``Model 0..k``.
        shuffled: Whether their order is drawn for each episode.
        offered: How many of the pool are offered, drawn for each episode; all where None.
        instructed: Whether the rules are told, about 170 tokens; a trained model does without.
        query_characters: Most characters of the task's text; its middle is left out beyond.
        hidden: What is not told, to measure what it is worth: ``"query"`` (text, domain and sizes
            of the task), ``"answers"`` (who agrees, confidence, verdicts).
        rounds: Workflows an episode may have: beyond the first, the conductor calls itself.
    """

    interface: Interface = "text"
    workers: Naming = "named"
    shuffled: bool = False
    offered: int | None = None
    instructed: bool = True
    query_characters: int = 1600
    hidden: tuple[Hidden, ...] = ()
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.interface not in get_args(Interface):
            raise unknown_name("interface", self.interface, get_args(Interface))
        if self.workers not in get_args(Naming):
            raise unknown_name("workers", self.workers, get_args(Naming))
        for name in ("shuffled", "instructed"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be True or False, got {getattr(self, name)!r}.")
        if self.offered is not None:
            whole_number("offered", self.offered, 1, MAX_SLOTS)
        whole_number("query_characters", self.query_characters, 0, 1_000_000)
        whole_number("rounds", self.rounds, 1, MAX_ROUNDS)
        if self.rounds > 1 and self.interface != "workflow":
            raise ConfigError("rounds are of workflows: pass interface='workflow', or rounds=1.")
        for name in self.hidden:
            if name not in HIDDEN:
                raise unknown_name("hidden part", name, HIDDEN)
        object.__setattr__(self, "hidden", tuple(sorted(set(self.hidden))))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"hidden": list(self.hidden)}
