"""`infos` of the vector environment, as Gymnasium lays them out: arrays, each beside its mask.

Entries outside a mask mean nothing.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.reward import WEIGHT_SCALE

Flags = npt.NDArray[np.bool_]

_RULES = np.array(RULE_NAMES, object)
_STATUSES = np.array(STATUS_NAMES, object)
_RUNNING = ("cost_usd", "latency_s", "invalid_actions")
_ENDED = ("quality", "utility", "episode_return", "episode_length")


def _put(infos: dict[str, Any], values: dict[str, npt.NDArray[Any]], mask: Flags) -> None:
    mask = mask.copy()
    mask.flags.writeable = False  # entries share it
    for name, array in values.items():
        infos[name], infos[f"_{name}"] = array, mask


def step_infos(results: Records, stepped: Flags, infos: dict[str, Any]) -> dict[str, Any]:
    """What `ConductorEnv.step` tells, for the slots that were stepped.

    Args:
        results: `RESULT_DTYPE` [n].
        stepped: bool [n].
        infos: Written and returned.
    """
    if stepped.any():
        told = {
            "invalid": _RULES.take(results["rule"]),
            "status": _STATUSES.take(results["status"]),
        }
        _put(infos, told | {name: results[name] for name in _RUNNING}, stepped)
    ended = stepped & results["over"]
    if ended.any():
        _put(infos, {name: results[name] for name in _ENDED}, ended)
    return infos


def start_infos(engine: Engine, started: Flags, infos: dict[str, Any]) -> dict[str, Any]:
    """The numbers that `ConductorEnv.reset` tells, for slots whose episode has just started.

    Args:
        engine: The slots.
        started: bool [n].
        infos: Written and returned.
    """
    episodes = engine.episodes
    told = {name: episodes[name].copy() for name in ("stream", "index")}
    weights = {name: episodes[name] / WEIGHT_SCALE for name in ("cost_weight", "latency_weight")}
    _put(infos, told | weights, started)
    return infos


def text_infos(engine: Engine, started: Flags, infos: dict[str, Any]) -> dict[str, Any]:
    """The texts that `ConductorEnv.reset` tells: of every slot, since it costs more than a step.

    Args:
        engine: The slots.
        started: bool [n], of which slots they are.
        infos: Written and returned.
    """
    texts, query = engine.world.texts, engine.episodes["query"]
    told = {"uid": texts.uids[query], "domain": texts.domains[query]}
    if texts.prompts is not None:
        told["prompt"] = texts.prompts[query]
    _put(infos, told, started)
    return infos


def final_observations(
    observation: Observation, slots: npt.NDArray[np.int64]
) -> npt.NDArray[np.object_]:
    """The last observations of some slots, object [n]: a dictionary each, None elsewhere."""
    names = observation._fields
    rows = zip(*(array[slots] for array in observation), strict=True)
    found = np.empty(len(slots), object)
    found[:] = [dict(zip(names, row, strict=True)) for row in rows]
    last = np.full(len(observation.query), None, object)
    last[slots] = found
    return last
