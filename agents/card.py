"""What is known about an agent before it plays: one section of agents.toml."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from conductor_gym.data_files import StrictModel
from conductor_gym.types import Subtask

Family = Literal["reference", "single", "router", "pipeline", "online", "learned", "own"]
Learns = Literal["nothing", "single calls", "own play", "traces", "while scored", "other agents"]


def _subtask(name: object) -> object:
    """A subtask by its lower-case name."""
    known = {subtask.name.lower(): subtask for subtask in Subtask}
    if name not in known:
        raise ValueError(f"no subtask {name!r}, known: {', '.join(known)}")
    return known[str(name)]


class AgentCard(StrictModel):
    """One agent.

    Attributes:
        entry: ``"module:Class"``, imported when the agent is made.
        family: Where it belongs; ``"own"`` for agents that are named by ``module:Class``.
        summary: What it does, in one line.
        idea: Why that might work, or what it is there for.
        paper: Where it was published, empty where it is common practice.
        learns: What it learns from. ``"single calls"``: a first call of every worker to every
            query of the train split. ``"own play"``: episodes of the train split that it plays.
            ``"traces"``: steps that others played there. ``"while scored"``: feedback in the scored
            episodes. ``"other agents"``: what they did on the dev split.
        tuning: What was chosen by trying, where, and how many were tried.
        privileged: A reference that sees what no agent may see.
        online: Learns from feedback while it is scored: one episode at a time, in order.
        trainer: ``"module:function"`` that `conductor-gym train` calls with a `TrainingRun`.
        timesteps: Environment steps, or samples, of that training unless told otherwise.
        takes_worker: Named as ``NAME:WORKER``.
        may_take_worker: Likewise, or as ``NAME``, which stands for the best single worker.
        reads: Is a language model that reads episodes as text; made from a model, see llm.py.
        needs: Subtasks without which it makes no sense; where one is missing it shows n/a.
        needs_confidence: Likewise for stated confidence.
        needs_simulation: Likewise for expected outcomes, which recorded tables do not hold.
    """

    entry: str
    family: Family
    summary: str
    idea: str
    paper: str = ""
    learns: Learns = "nothing"
    tuning: str = "none"
    privileged: bool = False
    online: bool = False
    trainer: str | None = None
    timesteps: int = 0
    takes_worker: bool = False
    may_take_worker: bool = False
    reads: bool = False
    needs: frozenset[Annotated[Subtask, BeforeValidator(_subtask)]] = frozenset()
    needs_confidence: bool = False
    needs_simulation: bool = False

    @property
    def trained(self) -> bool:
        """Whether it is made by `conductor-gym train` and loaded from a folder."""
        return self.trainer is not None

    @property
    def takes_model(self) -> bool:
        """Whether it is made from what `--model` names."""
        return self.trained or self.reads

    def shown_as(self, name: str) -> str:
        """The name with what may follow it, for lists."""
        return name + (":WORKER" if self.takes_worker else "[:WORKER]" * self.may_take_worker)
