"""The simulated backend: potential outcomes of keyed luck.

One solve is correct if and only if, in units of a standard normal,

    sqrt(rho)·a·delta + sqrt(1 - rho·a·a)·(sqrt(kappa)·eta + sqrt(1 - kappa)·xi)  <  z + adjustments

with delta the query's shared factors, its difficulty first, eta this worker's own trouble with this
query, xi the attempt's luck, a the worker's loadings on the factors, and z the probit of its
accuracy given that the format holds. delta and eta belong to (key, query, part, worker); xi also to
stream, pass and attempt.

A multi-part query answered as a whole is right if every part passes with the same xi, each at a
margin lowered by a load. Where documents are attached, missing evidence and length lower it.

Answer identities are 0 for the correct one, 1 for the common attractor, above that for the tail;
agents only ever see whether identities are equal.
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import context_share, is_answer, price, row_of
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.dynamics.keyed import Domain, Purpose, absorb, interpolate, threefry
from conductor_gym.types import MISSING, CallOutcome, Status, Subtask
from conductor_gym.workers.draws import draw, subkey
from conductor_gym.workers.margin import distraction, document_loss, margin, shared_trouble

CORRECT = 0
ATTRACTOR = 1

MAX_SENSITIVITY = 4.0

_U = np.uint64
_SOLVE, _VERIFY = int(Subtask.SOLVE), int(Subtask.VERIFY)
_REVISE, _AGGREGATE = int(Subtask.REVISE), int(Subtask.AGGREGATE)
_PLAN, _CONDENSE = int(Subtask.PLAN), int(Subtask.CONDENSE)
_OK, _MALFORMED, _OVERFLOW = int(Status.OK), int(Status.MALFORMED), int(Status.OVERFLOW)
_PERSISTENT_VERDICT, _PERSISTENT_PICK = (
    int(Domain.PERSISTENT_VERDICT),
    int(Domain.PERSISTENT_PICK),
)
_P_LUCK, _P_FORMAT, _P_CLUSTER = int(Purpose.LUCK), int(Purpose.FORMAT), int(Purpose.CLUSTER)
_P_TOKENS, _P_CONFIDENCE = int(Purpose.TOKENS), int(Purpose.CONFIDENCE)
_P_VERDICT, _P_PICK, _P_KEEP = int(Purpose.VERDICT), int(Purpose.PICK), int(Purpose.KEEP)
_P_PLAN, _P_JOIN, _P_EVIDENCE = int(Purpose.PLAN), int(Purpose.JOIN), int(Purpose.EVIDENCE)
_CORRECT, _ATTRACTOR = CORRECT, ATTRACTOR


@inner_njit
def sensitivity(
    sim: Any, tables: Any, episode: Any, call: Any, seen: float, adjustment: float
) -> float:
    """How well a worker tells right from wrong answers to this query, as a d'.

    Args:
        sim: `SimulatedTables`.
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record.
        call: What the verifier or aggregator is asked.
        seen: Share of the output that it sees besides the answer.
        adjustment: Added to its margin.
    """
    model = sim.model[0]
    gap = sim.domains[tables.queries[row_of(tables, episode.query, call.part)].domain].verify_gap
    known = margin(sim, tables, episode, call.part, call.worker, 0.0, adjustment)
    return min(
        MAX_SENSITIVITY, max(0.0, gap + model.verify_slope * known + model.verify_seen * seen)
    )


@inner_njit
def wrong_answer(sim: Any, domain: int, scratch: Any, lane: int) -> int:
    """Identity of a wrong answer: the common attractor or one of the tail."""
    first, second = draw(scratch, lane, _P_CLUSTER)
    if first < sim.domains[domain].attractor:
        return _ATTRACTOR
    tail = sim.domains[domain].tail
    if tail > 0:
        return 2 + int(second % _U(tail))
    return 2 + int(second >> _U(2))


@inner_njit
def stated_confidence(sim: Any, worker: int, value: float, scratch: Any, lane: int) -> float:
    """The worker's noisy, biased view of its margin, in [0, 1] at 2 decimals."""
    model = sim.model[0]
    word, _ = draw(scratch, lane, _P_CONFIDENCE)
    noisy = value + model.confidence_noise * interpolate(sim.normal, word)
    x = sim.traits[worker].confidence_bias + model.confidence_slope * noisy
    return np.floor((0.5 + 0.5 * x / (1.0 + abs(x))) * 100.0 + 0.5) / 100.0


@inner_njit
def _solve(
    sim: Any,
    tables: Any,
    episode: Any,
    call: Any,
    luck: float,
    adjustment: float,
    scratch: Any,
    lane: int,
) -> Any:
    """(answer, confidence, right) at a given luck."""
    value = margin(sim, tables, episode, call.part, call.worker, luck, adjustment)
    right = value > 0.0
    answer = _CORRECT
    if not right:
        domain = tables.queries[row_of(tables, episode.query, call.part)].domain
        answer = wrong_answer(sim, domain, scratch, lane)
    return answer, stated_confidence(sim, call.worker, value, scratch, lane), right


@inner_njit
def _verify(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> int:
    """1 accepts, 0 rejects: signal detection with a persistent part per (verifier, answer).

    Of its own answer a worker knows nothing that it did not use to give it (Huang et al. 2023).
    """
    model = sim.model[0]
    target = steps[call.target]
    seen = context_share(steps, episode.steps, call.level, call.target)
    lost = distraction(sim, call, seen * target.tokens_out)
    strength = 0.5 * sensitivity(sim, tables, episode, call, seen, -lost)
    a0, a1 = absorb(episode.luck0, episode.luck1, sim.traits[call.worker].uid, -_PERSISTENT_VERDICT)
    lasting, _ = threefry(a0, a1, _U(call.target_answer), _U(call.part + 1))
    fresh, _ = draw(scratch, lane, _P_VERDICT)
    evidence = model.verify_persistent * interpolate(sim.normal, lasting)
    evidence += model.verify_fresh * interpolate(sim.normal, fresh)
    if target.worker != call.worker:
        if target.answer == _CORRECT:
            evidence += strength
        else:
            shared = shared_trouble(sim, tables, episode, call.part, target.worker, call.worker)
            evidence += model.blind_spot * shared - strength
    return int(evidence > model.verify_criterion)


@inner_njit
def _revise(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> Any:
    """(answer, confidence, luck): the revised answer's luck, renewed in part.

    A rejection of its own is nothing new to it.
    """
    model = sim.model[0]
    target = steps[call.target]
    share = context_share(steps, episode.steps, call.level, call.target)
    own = target.worker == call.worker
    shift = share * (model.revise_own if own else model.revise_seen)
    for t in range(episode.steps):
        step = steps[t]
        same = step.part == call.part and step.target == target.answer
        about = step.subtask == _VERIFY and same
        if about and step.verdict == 0 and step.worker != call.worker:
            seen = context_share(steps, episode.steps, call.level, t)
            shift = max(shift, model.revise_critique * seen)
    word, _ = draw(scratch, lane, _P_LUCK)
    luck = model.revise_same * target.luck + model.revise_new * interpolate(sim.normal, word)
    shift -= distraction(sim, call, share * target.tokens_out)
    answer, confidence, right = _solve(sim, tables, episode, call, luck, shift, scratch, lane)
    if not right and target.answer != _CORRECT:
        keep, _ = draw(scratch, lane, _P_KEEP)
        if keep < model.revise_keep:
            answer = target.answer
    return answer, confidence, luck


@inner_njit
def _aggregate(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> int:
    """Step of the candidate that the aggregator picks among those it sees whole; -1: none."""
    model = sim.model[0]
    lost = document_loss(sim, call.shown, call.evidence)
    strength = sensitivity(sim, tables, episode, call, 1.0, -lost)
    a0, a1 = absorb(episode.luck0, episode.luck1, sim.traits[call.worker].uid, -_PERSISTENT_PICK)
    k0, k1 = subkey(scratch, lane)
    best = -1
    highest = -np.inf
    for t in range(episode.steps - 1, -1, -1):
        step = steps[t]
        if not is_answer(step) or context_share(steps, episode.steps, call.level, t) < 1.0:
            continue
        votes = 0
        for u in range(episode.steps):
            if is_answer(steps[u]) and steps[u].answer == step.answer:
                votes += int(context_share(steps, episode.steps, call.level, u) == 1.0)
        lasting, _ = threefry(a0, a1, _U(step.answer), _U(0))
        fresh, _ = absorb(k0, k1, _P_PICK, step.answer)
        evidence = model.aggregate_votes * (votes - 1)
        evidence += model.verify_persistent * interpolate(sim.normal, lasting)
        evidence += model.verify_fresh * interpolate(sim.normal, fresh)
        if step.answer == _CORRECT:
            evidence += strength
        if evidence > highest:
            best = t
            highest = evidence
    return best


@inner_njit
def _join(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> int:
    """Identity of the answer that the parts' current answers give together.

    It is right if every part has a right one that the joiner sees whole, and none is lost in
    joining. The same wrong parts give the same wrong whole.
    """
    right = True
    a0, a1 = _U(0), _U(0)
    for p in range(tables.queries[episode.query].parts):
        t = episode.part_answers[p]
        answer = MISSING
        if t >= 0 and context_share(steps, episode.steps, call.level, t) == 1.0:
            answer = steps[t].answer
        right = right and answer == _CORRECT
        a0, a1 = absorb(a0, a1, answer, p)
    word, _ = draw(scratch, lane, _P_JOIN)
    if interpolate(sim.normal, word) >= sim.model[0].join_gap:
        return 2 + int(subkey(scratch, lane)[0] >> _U(2))
    return _CORRECT if right else 2 + int(a0 >> _U(2))


@inner_njit
def _plan(sim: Any, tables: Any, episode: Any, call: Any, scratch: Any, lane: int) -> bool:
    """Whether the parts that a plan names are the task's."""
    model = sim.model[0]
    known = margin(sim, tables, episode, MISSING, call.worker, 0.0, -distraction(sim, call, 0.0))
    word, _ = draw(scratch, lane, _P_PLAN)
    return interpolate(sim.normal, word) < model.plan_gap + model.plan_slope * known


@inner_njit
def _condense(sim: Any, tables: Any, episode: Any, call: Any, scratch: Any, lane: int) -> float:
    """Share of all evidence that a condensed form keeps: of each piece read, it may lose any."""
    model = sim.model[0]
    query = tables.queries[episode.query]
    long = document_loss(sim, call.shown, 1.0)
    known = margin(sim, tables, episode, MISSING, call.worker, 0.0, 0.0)
    border = model.condense_gap + model.condense_slope * known - long
    k0, k1 = subkey(scratch, lane)
    kept = 0
    for i in range(query.pieces):
        word, _ = threefry(k0, k1, _U(_P_EVIDENCE), _U(i))
        kept += int(query.evidence[i] <= call.shown and interpolate(sim.normal, word) < border)
    return kept / query.pieces


@inner_njit
def mean_length(sim: Any, tables: Any, query: int, part: int, worker: int, subtask: int) -> float:
    """Mean output tokens of a call before the cap; a whole is written part by part."""
    if subtask == _CONDENSE:
        return sim.model[0].condense_tokens
    parts = tables.queries[query].parts
    if part >= 0 or parts == 0 or (subtask != _SOLVE and subtask != _REVISE):
        return sim.abilities[worker, tables.queries[row_of(tables, query, part)].domain].tokens[
            subtask
        ]
    total = 0.0
    for p in range(parts):
        total += sim.abilities[worker, tables.queries[row_of(tables, query, p)].domain].tokens[
            subtask
        ]
    return total


@inner_njit
def mean_below_cap(sim: Any, tables: Any, mean: float) -> float:
    """Mean output tokens after the cap, of a call whose mean before it is given."""
    factors = sim.lognormal[0]
    cap = float(tables.rules[0].output_cap)
    total = 0.0
    for j in range(factors.shape[0] - 1):
        total += min(cap, mean * factors[j]) + min(cap, mean * factors[j + 1])
    return total / (2 * (factors.shape[0] - 1))


@inner_njit
def _answer(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> Any:
    """(answer, confidence, luck) of a call that answers."""
    if call.subtask == _REVISE:
        return _revise(sim, tables, episode, steps, call, scratch, lane)
    if call.subtask == _AGGREGATE:
        lost = document_loss(sim, call.shown, call.evidence)
        own = margin(sim, tables, episode, MISSING, call.worker, 0.0, -lost)
        confidence = stated_confidence(sim, call.worker, own, scratch, lane)
        if episode.opened == 1:
            return _join(sim, tables, episode, steps, call, scratch, lane), confidence, 0.0
        picked = _aggregate(sim, tables, episode, steps, call, scratch, lane)
        if picked >= 0:
            return steps[picked].answer, confidence, steps[picked].luck
    word, _ = draw(scratch, lane, _P_LUCK)
    luck = interpolate(sim.normal, word)
    lost = distraction(sim, call, 0.0)
    answer, confidence, _ = _solve(sim, tables, episode, call, luck, -lost, scratch, lane)
    return answer, confidence, luck


@inner_njit
def simulate_call(
    sim: Any, tables: Any, episode: Any, steps: Any, call: Any, scratch: Any, lane: int
) -> CallOutcome:
    """What came back from a simulated worker.

    Args:
        sim: `SimulatedTables`.
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, read only.
        steps: `STEP_DTYPE` [max_steps] of the episode, read only.
        call: `CALL_DTYPE` record whose fate is `Fate.CALL`.
        scratch: `Scratch` with the draws that `make_draws` made.
        lane: Of the call in it.
    """
    worker = tables.workers[call.worker]
    traits = sim.traits[call.worker]
    domain = tables.queries[row_of(tables, episode.query, call.part)].domain

    tokens_word, first_word = draw(scratch, lane, _P_TOKENS)
    first = traits.first_token * interpolate(sim.lognormal[traits.first_token_row], first_word)
    if call.tokens_in > worker.window:
        latency = int(first + 0.5)
        return CallOutcome(_OVERFLOW, call.part, MISSING, -1.0, MISSING, 0, 0, 0, latency, 0.0, 0.0)
    mean = mean_length(sim, tables, episode.query, call.part, call.worker, call.subtask)
    length = mean * interpolate(sim.lognormal[0], tokens_word)
    tokens_out = int(min(float(tables.rules[0].output_cap), max(1.0, np.floor(length + 0.5))))
    cost = price(worker, call.tokens_in, tokens_out)
    latency = int(first + traits.per_token * tokens_out + 0.5)

    answer = MISSING
    confidence = -1.0
    verdict = MISSING
    luck = 0.0
    score = 0.0
    format_word, _ = draw(scratch, lane, _P_FORMAT)
    failure = sim.abilities[call.worker, domain].format_failure
    if call.subtask == _VERIFY:
        failure = sim.model[0].verify_failure
    status = _MALFORMED if format_word < failure else _OK
    if status == _OK:
        if call.subtask == _VERIFY:
            verdict = _verify(sim, tables, episode, steps, call, scratch, lane)
        elif call.subtask == _PLAN:
            status = _OK if _plan(sim, tables, episode, call, scratch, lane) else _MALFORMED
        elif call.subtask == _CONDENSE:
            score = _condense(sim, tables, episode, call, scratch, lane)
        else:
            answer, confidence, luck = _answer(sim, tables, episode, steps, call, scratch, lane)
            score = 1.0 if answer == _CORRECT else 0.0
    return CallOutcome(
        status,
        call.part,
        answer,
        confidence,
        verdict,
        call.tokens_in,
        tokens_out,
        cost,
        latency,
        score,
        luck,
    )
