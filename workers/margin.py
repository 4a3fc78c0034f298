"""How far a simulated worker is from a right answer, in probits. `simulated` tells the model."""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import row_of
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.dynamics.keyed import Domain, interpolate, threefry
from conductor_gym.types import MISSING

DISTRACTION_SCALE = 16384.0
"""Context tokens at which half of the distraction is felt (assumed)."""

_U = np.uint64
_DIFFICULTY, _TROUBLE = int(Domain.DIFFICULTY), int(Domain.TROUBLE)
_PART_STRIDE = 256
"""Keeps the counters of parts apart from those of the whole."""


@inner_njit
def shared_factor(sim: Any, tables: Any, episode: Any, part: int, factor: int) -> float:
    """One shared factor of the query or part, of mean 0 and variance 1; larger is harder.

    Factor 0 is the difficulty, of which text tells something and which may be skew; the others are
    families' and normal.
    """
    purpose = _DIFFICULTY + _PART_STRIDE * (part + 1)
    word, _ = threefry(episode.query0, episode.query1, _U(purpose), _U(factor))
    value = interpolate(sim.normal, word)
    if factor > 0:
        return value
    model = sim.model[0]
    told = sim.told[row_of(tables, episode.query, part), 0]
    delta = model.text_delta * told + model.noise_delta * value
    return (delta + model.skew * (delta * delta - 1.0)) * model.skew_scale


@inner_njit
def _trouble(sim: Any, tables: Any, episode: Any, part: int, worker: int) -> float:
    """Eta of this worker with this query or part, standard normal; larger is harder."""
    model = sim.model[0]
    purpose = _TROUBLE + _PART_STRIDE * (part + 1)
    word, _ = threefry(episode.query0, episode.query1, _U(purpose), sim.traits[worker].uid)
    told = sim.told[row_of(tables, episode.query, part), 1 + worker]
    return model.text_eta * told + model.noise_eta * interpolate(sim.normal, word)


@inner_njit
def shared_trouble(sim: Any, tables: Any, episode: Any, part: int, one: int, other: int) -> float:
    """Trouble that two workers have in common, at least 0; of a whole, in its worst part."""
    parts = tables.queries[episode.query].parts
    first, last = part, part
    if part < 0 and parts > 0:
        first, last = 0, parts - 1
    most = 0.0
    for p in range(first, last + 1):
        mine = _trouble(sim, tables, episode, p, one)
        most = max(most, min(mine, _trouble(sim, tables, episode, p, other)))
    return most


@inner_njit
def _margin(
    sim: Any, tables: Any, episode: Any, part: int, worker: int, luck: float, adjustment: float
) -> float:
    model = sim.model[0]
    domain = tables.queries[row_of(tables, episode.query, part)].domain
    ability = sim.abilities[worker, domain]
    own = _trouble(sim, tables, episode, part, worker)
    lack = ability.on_own * (model.own * own + model.attempt * luck)
    for factor in range(model.factors):
        lack += ability.on_shared[factor] * shared_factor(sim, tables, episode, part, factor)
    return ability.z + adjustment - lack


@inner_njit
def margin(
    sim: Any, tables: Any, episode: Any, part: int, worker: int, luck: float, adjustment: float
) -> float:
    """Distance to the border between right and wrong; positive is right.

    Args:
        sim: `SimulatedTables`.
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record.
        part: Part that is answered; `MISSING` for the whole, of which the worst part counts.
        worker: Slot.
        luck: The attempt's.
        adjustment: Probits added.
    """
    parts = tables.queries[episode.query].parts
    if part >= 0 or parts == 0:
        return _margin(sim, tables, episode, part, worker, luck, adjustment)
    adjustment -= sim.model[0].part_load * (parts - 1)
    worst = np.inf
    for p in range(parts):
        worst = min(worst, _margin(sim, tables, episode, p, worker, luck, adjustment))
    return worst


@inner_njit
def standard_margin(sim: Any, tables: Any, episode: Any, worker: int, adjustment: float) -> float:
    """Luck of a whole solve below which it is right, so that its normal quantile is the chance."""
    query = tables.queries[episode.query]
    attempt = sim.model[0].attempt
    if query.parts > 0:
        adjustment -= sim.model[0].part_load * (query.parts - 1)
    lowest = np.inf
    for p in range(max(1, query.parts)):
        part = p if query.parts > 0 else MISSING
        domain = tables.queries[row_of(tables, episode.query, part)].domain
        spread = sim.abilities[worker, domain].on_own * attempt
        value = _margin(sim, tables, episode, part, worker, 0.0, adjustment)
        if spread > 0.0:
            lowest = min(lowest, value / spread)
        elif value <= 0.0:
            lowest = -np.inf
    return lowest


@inner_njit
def document_loss(sim: Any, shown: int, evidence: float) -> float:
    """Probits lost to missing evidence, the first piece most, and to the length of what is shown.

    Args:
        sim: `SimulatedTables`.
        shown: Tokens of documents in the context.
        evidence: Share of their evidence in it; 1 without documents.
    """
    model = sim.model[0]
    long = model.document_distraction * shown / (shown + DISTRACTION_SCALE)
    return model.evidence_lack * np.sqrt(1.0 - evidence) + long


@inner_njit
def distraction(sim: Any, call: Any, relevant: float) -> float:
    """Probits lost to what the context lacks, and to the part that the call is not about.

    Args:
        sim: `SimulatedTables`.
        call: The call.
        relevant: Tokens of the outputs in the context that it is about.
    """
    idle = call.context - call.shown - relevant
    away = sim.model[0].distraction * idle / (idle + DISTRACTION_SCALE)
    return away + document_loss(sim, call.shown, call.evidence)
