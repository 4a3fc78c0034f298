"""Every agent by name: those of agents.toml, and anybody's own as ``module:Class``."""

import importlib
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import RootModel

from conductor_gym.agents.base import Agent, Online, Setting
from conductor_gym.agents.card import AgentCard
from conductor_gym.data_files import load_toml
from conductor_gym.errors import AgentError, ConductorError, ConfigError, one_line, unknown_name

AGENTS_FILE = Path(__file__).with_name("agents.toml")
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class _Agents(RootModel[dict[str, AgentCard]]):
    """The file of agents."""


@cache
def agents() -> dict[str, AgentCard]:
    """The card of every shipped agent by name."""
    return load_toml(AGENTS_FILE, _Agents).root


def agent_card(name: str) -> AgentCard:
    """The card of an agent; `single:WORKER` has the card of `single`.

    An agent of one's own, ``module:Class``, has a card made from its docstring and from its class
    attributes `online`.

    Raises:
        UnknownNameError: No such agent.
        AgentError: A module or class that cannot be imported.
    """
    base = name.partition(":")[0]
    if base in agents():
        return agents()[base]
    if not _OWN.fullmatch(name):
        raise unknown_name(
            "agent",
            name,
            agents(),
            "See `conductor-gym list agents`. Your own is named as module:Class.",
        )
    made = _load(name, name)
    doc = (getattr(made, "__doc__", None) or "").strip()
    return AgentCard(
        entry=name,
        family="own",
        summary=doc.partition("\n")[0] or "an agent of one's own",
        idea=doc,
        online=bool(getattr(made, "online", False)),
    )


def what_is_missing(name: str, setting: Setting) -> str | None:
    """Why an agent makes no sense in a setting, or None where it does.

    Raises:
        UnknownNameError: No such agent.
    """
    card = agent_card(name)
    missing = sorted(subtask.name.lower() for subtask in card.needs - setting.subtasks)
    if missing:
        return f"needs {', '.join(missing)}, which this pool or suite does not have"
    if card.needs_confidence and not setting.confidence:
        return "needs stated confidence, which is not recorded"
    if card.needs_simulation and not setting.simulated:
        return "needs expected outcomes, which a table of single outcomes does not hold"
    if card.privileged and not setting.foreseen:
        return "looks at outcomes beforehand, which live workers have not given yet"
    return None


def make_agent(name: str, setting: Setting, model: Path | None = None) -> Agent:
    """Build an agent, fitting it on the train split where it learns from that.

    Args:
        name: As in `conductor-gym list agents`, or ``module:Class``.
        setting: What it is built for.
        model: Folder that `conductor-gym train` wrote, for trained agents.

    Raises:
        UnknownNameError: Unknown agent or worker.
        ConfigError: A worker or model that is missing or not wanted.
        AgentError: An agent of one's own that cannot be built.
    """
    card = agent_card(name)
    base, _, worker = name.partition(":")
    if card.family == "own":
        return _make_own(name, setting, model)
    if card.takes_worker and not worker:
        raise ConfigError(f"name a worker: {base}:WORKER, one of {', '.join(setting.workers)}.")
    if card.reads:
        worker = ""  # a row's own name, as a result file has it
    if worker and not (card.takes_worker or card.may_take_worker):
        raise ConfigError(f"agent {base!r} takes no worker, got {name!r}.")
    if model is not None and not card.takes_model:
        raise ConfigError(f"agent {name!r} is not a trained one and takes no model.")
    if card.reads and model is None:
        raise ConfigError(
            f"agent {base!r} needs a language model: name one with --model, such as smollm2-135m, "
            "a folder in Hugging Face's form, a trained conductor's, or a TOML file of settings: "
            "docs/llm.md."
        )
    if card.trained and model is None:
        raise ConfigError(
            f"agent {name!r} is trained: run `conductor-gym train {name} --track TRACK` first, or "
            "name its folder with --model."
        )
    make = _load(card.entry, name)
    if card.takes_model:
        return make(setting, model)
    return make(setting, worker) if worker else make(setting)


def trainer(name: str) -> Any:
    """The function that trains an agent, called with a `TrainingRun`.

    Raises:
        UnknownNameError: No such agent, or one that is not trained.
    """
    trained = {known: card for known, card in agents().items() if card.trained}
    if name not in trained:
        raise unknown_name("agent to train", name, trained)
    return _load(str(trained[name].trainer), name)


def _make_own(name: str, setting: Setting, model: Path | None) -> Agent:
    make = _load(name, name)
    try:
        agent = make(setting) if model is None else make(setting, model)
    except ConductorError:
        raise
    except (Exception, SystemExit) as error:
        raise AgentError(
            f"{name} could not be built: {one_line(error)}. It is called with a "
            f"Setting{'' if model is None else ' and the folder of --model'}."
        ) from error
    if not callable(getattr(agent, "act", None)):
        raise AgentError(f"{name} has no method act(observation): see docs/your-agent.md.")
    if getattr(agent, "online", False) and not isinstance(agent, Online):
        raise AgentError(f"{name} says online = True but has no method observe(outcome).")
    return agent


def _load(entry: str, name: str) -> Any:
    """The attribute that ``module:attribute`` names; modules of the working folder count too."""
    module, _, attribute = entry.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    try:
        loaded = importlib.import_module(module)
    except ConductorError:
        raise
    except (Exception, SystemExit) as error:
        raise AgentError(
            f"agent {name!r}: module {module!r} cannot be imported from {here} or the installed "
            f"packages: {one_line(error)}."
        ) from error
    if not hasattr(loaded, attribute):
        known = [key for key, value in vars(loaded).items() if isinstance(value, type)]
        place = getattr(loaded, "__file__", None) or "no file"
        raise unknown_name(f"class of module {module} ({place})", attribute, known)
    return getattr(loaded, attribute)
