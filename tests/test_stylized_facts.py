"""What is known about real LLMs, held against the simulated ones under low, mid and high.

Each test plays fixed scripts through the engine and looks at an effect with its Monte-Carlo
standard error: `clearly_above` and `clearly_below` mean by three of them. Effects are printed:
`pytest tests/test_stylized_facts.py -rP`.

A fact that the simulation contradicts under some setting is an expected failure there, with the
reason; strict, so that a repaired simulation is noticed.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from monte_carlo import (
    Effect,
    Floats,
    Z,
    accepted_or,
    auc,
    cells,
    mean,
    of_means,
    play,
    right,
    shown,
    under,
    verdict_cells,
)

from conductor_gym.agents.base import Setting
from conductor_gym.agents.cascade import Cascade
from conductor_gym.agents.single import BestSingle
from conductor_gym.config import EnvConfig
from conductor_gym.leaderboard.evaluate import play as play_agent
from conductor_gym.types import Status, Subtask
from conductor_gym.workers.pool import load_pool

N = 14_000
DOMAINS = tuple(load_pool("paper").domains)
GPT5, CLAUDE, GEMINI, DEEPSEEK, THINKING, QWEN, GEMMA = range(7)
SOLVE, VERIFY, REVISE, AGGREGATE, VOTE = 0, 2, 3, 5, 6
READ = 3
"""4,096 tokens: one output fits."""
READ_ALL = 4
"""16,384 tokens: three outputs fit."""
EVERYTHING = 6

Mix = Callable[..., EnvConfig]


def test_right_is_the_quality_that_submitting_would_give(mix: Mix, run_batch: Callable[..., Any]):
    script = [(6, SOLVE, 0), (1, SOLVE, 0), (3, REVISE, 3), (2, AGGREGATE, 4), (0, VOTE, 0)]
    for k in range(1, len(script) + 1):
        engine = run_batch(mix("mid"), range(500), [*script[:k], (0, int(Subtask.SUBMIT), 0)])
        assert (right(engine.state.steps[:, :k])[:, -1] == engine.episodes["quality"]).all()


# --- 1. errors go together -----------------------------------------------------------------------

LOST_IN_REAL_POOLS = 0.3
"""Share of the gain that independent errors would promise over the best single worker and that
real pools do not have, at least: MMLU-Pro 0.38, CRUX 0.48, GSM8K 0.31 (recorded outcomes of eight
LLMs each; TIGER-AI-Lab/MMLU-Pro and WildEval/ZeroEval, 2024)."""


@under()
@pytest.mark.parametrize("domain", DOMAINS)
def test_errors_go_together_and_the_oracle_is_far_below_that_of_independent_ones(
    mix: Mix, assumptions: str, domain: str
):
    """Errors of different LLMs on one query are correlated.

    Sources: recorded outcomes, see `LOST_IN_REAL_POOLS`; Kim, Garg, Peng and Garg 2025,
    "Correlated Errors in Large Language Models".
    """
    n = 4000
    steps = play(mix(assumptions, (domain,), n), n, [(w, SOLVE, 0) for w in range(7)])
    score = steps["score"]
    for i, j in combinations(range(7), 2):
        together = (score[:, i] - score[:, i].mean()) * (score[:, j] - score[:, j].mean())
        error = together.std(ddof=1) / n**0.5
        assert Effect(together.mean(), error).clearly_above(0.0), (i, j)

    def lost(means: Floats) -> Floats:
        single, oracle = means[..., :7], means[..., 7]
        independent = 1.0 - np.prod(1.0 - single, axis=-1)
        return (independent - oracle) / (independent - single.max(axis=-1))

    columns = np.column_stack([score, score.max(axis=1)])
    share = of_means(f"{domain}: share of the promised gain that is lost", columns, lost)
    assert not share.clearly_below(LOST_IN_REAL_POOLS)
    phi = np.corrcoef(score.T)[np.triu_indices(7, 1)]
    print(f"{domain}: oracle {columns[:, 7].mean():.3f}, mean phi {phi.mean():.3f}")


# --- 2. self-correction and stronger verifiers ---------------------------------------------------

SELF_CORRECTING = (GPT5, CLAUDE, DEEPSEEK, QWEN, GEMMA)


OPTIMISTIC = "revise_own is 0.1 probits at high: rereading one's own output is assumed to help"


@under(high=OPTIMISTIC)
def test_rereading_and_revising_one_s_own_answer_does_not_help(mix: Mix, assumptions: str):
    """Huang et al. 2023, "Large Language Models Cannot Self-Correct Reasoning Yet"."""
    config = mix(assumptions, size=3 * N)
    gains: list[Any] = []
    for worker in SELF_CORRECTING:
        steps = play(config, 3 * N, [(worker, SOLVE, 0), (worker, REVISE, READ)])
        after = right(steps) * 1.0
        # A first answer that was malformed cannot be revised; nothing is gained or lost there.
        answered = steps["status"][:, 0] == Status.OK
        gains.append(np.where(answered, after[:, 1] - after[:, 0], 0.0))
    assert not mean("gain in accuracy", np.mean(gains, axis=0)).clearly_above(0.0)


@under(high=OPTIMISTIC)
def test_revising_what_one_rejected_oneself_does_not_help(mix: Mix, assumptions: str):
    """Huang et al. 2023, "Large Language Models Cannot Self-Correct Reasoning Yet".

    Their protocol: answer, review one's own answer, improve it; no outside signal.
    """
    gains: list[Any] = []
    for worker in SELF_CORRECTING:
        script = [(worker, SOLVE, 0), (worker, VERIFY, READ), (worker, REVISE, READ)]
        steps = play(mix(assumptions), N, script)
        gains.append(accepted_or(steps, 2) * 1.0 - right(steps)[:, 0])
    assert not mean("gain in accuracy", np.mean(gains, axis=0)).clearly_above(0.0)


@under()
def test_a_stronger_verifier_helps_a_weaker_solver_and_tells_more_than_its_own_eyes(
    mix: Mix, assumptions: str
):
    """Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems"; Huang et al. 2023.

    What was rejected is solved once more by the same weak worker, so that only the verdict is new.
    """
    gains: list[Any] = []
    columns: list[Any] = []
    for weak in (QWEN, GEMMA):
        by: list[Any] = []
        for judge in (GEMINI, weak):
            script = [(weak, SOLVE, 0), (judge, VERIFY, READ), (weak, SOLVE, 0)]
            steps = play(mix(assumptions), N, script)
            by.append(accepted_or(steps, 2) * 1.0)
            columns.append(verdict_cells(steps))
            if judge == GEMINI:
                gains.append(by[0] - right(steps)[:, 0])
        mean("accuracy beyond that of its own verdicts", by[0] - by[1])
    assert mean("gain over the first answer", np.mean(gains, axis=0)).clearly_above(0.0)

    def more(means: Floats) -> Floats:
        area = auc(means.reshape(*means.shape[:-1], 4, 2, 2))
        return (area[..., 0::2] - area[..., 1::2]).mean(axis=-1)

    told = of_means("ROC area beyond that of its own verdicts", np.hstack(columns), more)
    assert told.clearly_above(0.0)


@under()
def test_a_stronger_verifier_that_also_revises_helps_more(mix: Mix, assumptions: str):
    """Huang et al. 2023: gains come from a better model in the loop."""
    by: dict[int, Any] = {}
    for fixer in (QWEN, GEMINI):
        steps = play(
            mix(assumptions), N, [(QWEN, SOLVE, 0), (GEMINI, VERIFY, READ), (fixer, REVISE, READ)]
        )
        by[fixer] = accepted_or(steps, 2) * 1.0 - right(steps)[:, 0]
    assert mean("gain, the strong one revises", by[GEMINI]).clearly_above(0.0)
    assert mean("more than the weak one revising", by[GEMINI] - by[QWEN]).clearly_above(0.0)


# --- 3. asking a verifier again ------------------------------------------------------------------


@under()
def test_asking_one_verifier_again_adds_less_than_asking_another(mix: Mix, assumptions: str):
    """Lifshitz, McIlraith and Du 2025, "Multi-Agent Verification": more verifiers help."""
    judges = (GPT5, CLAUDE, GEMINI)
    script = [(DEEPSEEK, SOLVE, 0), *((w, VERIFY, READ) for w in (*judges, *judges))]
    steps = play(mix(assumptions), N, script)
    steps = steps[(steps["status"] == Status.OK).all(axis=1)]
    score, verdict = steps["score"][:, 0], steps["verdict"][:, 1:]
    one = [cells(score, verdict[:, i], 1) for i in range(3)]
    same = [cells(score, verdict[:, i] + verdict[:, i + 3], 2) for i in range(3)]
    other = [
        cells(score, verdict[:, i] + verdict[:, j + 3], 2)
        for i in range(3)
        for j in range(3)
        if i != j
    ]
    columns = np.concatenate([*one, *same, *other], axis=1)

    def areas(means: Floats) -> tuple[Floats, Floats, Floats]:
        parts = np.split(means, [12, 30], axis=-1)
        shape = means.shape[:-1]
        first, again, fresh = (
            auc(part.reshape(*shape, -1, 2, width)).mean(axis=-1)
            for part, width in zip(parts, (2, 3, 3), strict=True)
        )
        return first, again, fresh

    of_means("ROC area of one verdict", columns, lambda m: areas(m)[0])
    again = of_means("added by the same one", columns, lambda m: areas(m)[1] - areas(m)[0])
    fresh = of_means("added by another", columns, lambda m: areas(m)[2] - areas(m)[0])
    gap = of_means("the other minus the same", columns, lambda m: areas(m)[2] - areas(m)[1])
    assert fresh.clearly_above(0.0)
    assert gap.clearly_above(0.0)
    print(f"share of a fresh verdict that asking again is worth: {again.value / fresh.value:.2f}")


# --- 4. and 5. votes -----------------------------------------------------------------------------


@under()
def test_gains_of_a_vote_shrink_with_the_number_of_samples(mix: Mix, assumptions: str):
    """Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning"."""
    n = 21_000
    gains: list[Any] = []
    for worker in (GPT5, CLAUDE, DEEPSEEK, QWEN):
        # A vote is free and changes no later answer: one script holds the votes of 1, 3, 5 and 7.
        more = [(worker, SOLVE, 0), (worker, SOLVE, 0), (0, VOTE, 0)]
        steps = play(mix(assumptions, size=n), n, [(worker, SOLVE, 0), *more * 3])
        after = right(steps)[:, [0, 3, 6, 9]] * 1.0
        gains.append(np.diff(after, axis=1))
    gain = np.mean(gains, axis=0)
    for k in range(3):
        assert mean(f"from {2 * k + 1} to {2 * k + 3}", gain[:, k]).clearly_above(0.0)
    assert mean("1 to 3 beyond 3 to 5", gain[:, 0] - gain[:, 1]).clearly_above(0.0)
    assert mean("3 to 5 beyond 5 to 7", gain[:, 1] - gain[:, 2]).clearly_above(0.0)


COMPARABLE = {
    "MMLU": (DEEPSEEK, THINKING, QWEN),  # 0.844, 0.833, 0.840
    "RLPR": (GPT5, CLAUDE, DEEPSEEK),  # 0.331, 0.326, 0.328
    "BigCodeBench": (GPT5, CLAUDE, GEMINI),  # 0.338, 0.358, 0.351
}
"""Workers whose published accuracies differ by at most 0.02."""


@under()
def test_three_voters_beat_three_samples_of_one_at_equal_calls_and_cost(mix: Mix, assumptions: str):
    """Chen, Saha and Bansal 2024, "ReConcile": diverse LLMs agree on better answers than one alone.

    One vote of three workers beside the mean of three votes of one worker each: the same calls and,
    by expectation, the same cost. The vote gives ties to the newest answer, so each is newest once.
    """
    n = 10_000
    gains: list[Any] = []
    extra: list[Any] = []
    for domain, trio in COMPARABLE.items():
        config = mix(assumptions, (domain,), n)
        turns = [trio[i:] + trio[:i] for i in range(3)]
        diverse = [play(config, n, [*((w, SOLVE, 0) for w in t), (0, VOTE, 0)]) for t in turns]
        repeated = [play(config, n, [*[(w, SOLVE, 0)] * 3, (0, VOTE, 0)]) for w in trio]
        quality = [
            np.mean([right(s)[:, -1] for s in group], axis=0) for group in (diverse, repeated)
        ]
        usd = [np.mean([s["cost"].sum(axis=1) for s in g], axis=0) for g in (diverse, repeated)]
        gains.append(quality[0] - quality[1])
        extra.append((usd[0] - usd[1]) / usd[1].mean())
        mean(f"{domain}: gain in accuracy", gains[-1])
    cost = mean("extra cost, relative", np.mean(extra, axis=0))
    assert abs(cost.value) < Z * cost.error
    assert mean("gain in accuracy", np.mean(gains, axis=0)).clearly_above(0.0)


# --- 6. context ----------------------------------------------------------------------------------
# Documents do not exist in this version: what a call may see are earlier outputs.


@under()
def test_an_aggregator_needs_to_see_the_outputs_and_too_few_tokens_show_none(
    mix: Mix, assumptions: str
):
    """Wang et al. 2024, "Mixture-of-Agents"; Liu et al. 2023, "Lost in the Middle".

    An aggregator that sees no candidate whole solves by itself.
    """
    candidates = [(w, SOLVE, 0) for w in (DEEPSEEK, THINKING, QWEN)]
    after = {
        level: right(play(mix(assumptions), N, [*candidates, (QWEN, AGGREGATE, level)]))[:, -1]
        * 1.0
        for level in (0, 1, READ_ALL)
    }
    assert mean("seeing all beside none", after[READ_ALL] - after[0]).clearly_above(0.0)
    assert not mean("256 tokens beside none", after[1] - after[0]).clearly_above(0.0)


@under(low="revise_critique is 0 at low: a rejection that is read adds nothing and costs attention")
def test_a_reviser_that_reads_the_rejection_beats_one_that_does_not(mix: Mix, assumptions: str):
    """Madaan et al. 2023, "Self-Refine": specific feedback beats none."""
    after = {
        level: play(
            mix(assumptions), N, [(QWEN, SOLVE, 0), (GEMINI, VERIFY, READ), (QWEN, REVISE, level)]
        )
        for level in (0, READ)
    }
    rejected = (after[0]["status"] == Status.OK).all(axis=1) & (after[0]["verdict"][:, 1] == 0)
    gain = (right(after[READ])[:, 2] * 1.0 - right(after[0])[:, 2])[rejected]
    assert mean("gain among rejected answers", gain).clearly_above(0.0)


@under(low="verify_seen is 0 at low: reading the output tells a verifier nothing")
def test_a_verifier_that_reads_the_output_tells_more_than_one_that_sees_the_answer(
    mix: Mix, assumptions: str
):
    """Lightman et al. 2023, "Let's Verify Step by Step": the steps tell more than the result."""
    script = [(DEEPSEEK, SOLVE, 0), (GEMINI, VERIFY, READ)]
    reading = verdict_cells(play(mix(assumptions), N, script))
    seeing = verdict_cells(play(mix(assumptions), N, [script[0], (GEMINI, VERIFY, 0)]))

    def gain(means: Floats) -> Floats:
        both = means.reshape(*means.shape[:-1], 2, 2, 2)
        return auc(both[..., 0, :, :]) - auc(both[..., 1, :, :])

    assert of_means("ROC area gained", np.hstack([reading, seeing]), gain).clearly_above(0.0)


IDLE = [(w, SOLVE, 0) for w in (DEEPSEEK, THINKING) * 4]
"""Some 16,000 tokens that later calls are not about."""


@under()
def test_a_long_irrelevant_context_costs_accuracy_and_a_longer_one_more(mix: Mix, assumptions: str):
    """Shi et al. 2023, "Large Language Models Can Be Easily Distracted by Irrelevant Context".

    Longer inputs: Levy, Jacoby and Goldberg 2024, "Same Task, More Tokens".
    """
    score = {
        level: play(mix(assumptions), N, [*IDLE, (GPT5, SOLVE, level)])["score"][:, -1]
        for level in (0, READ, EVERYTHING)
    }
    assert mean("4,096 tokens", score[READ] - score[0]).clearly_below(0.0)
    assert mean("all tokens beyond that", score[EVERYTHING] - score[READ]).clearly_below(0.0)


# --- 7. cascades ---------------------------------------------------------------------------------

EASY = ("MATH500", "MMLU")
HARD = ("RLPR", "LiveCodeBench", "AIME25", "BigCodeBench")
CASCADE_WEIGHTS = (0.02, 0.05, 0.1)


def saving(means: Floats) -> Floats:
    """Largest share of the cost that is saved at the quality of the first agent or above.

    By one agent or by a coin between two. `means` holds (quality, cost) of each agent, [..., 2k].
    """
    gain = means[..., 0::2] - means[..., :1]
    saved = 1.0 - means[..., 1::2] / means[..., 1:2]
    found = np.where(gain >= 0, saved, 0.0).max(axis=-1)
    for i, j in permutations(range(gain.shape[-1]), 2):
        mixed = (gain[..., i] > 0) & (gain[..., j] < 0)
        share = gain[..., i] / np.where(mixed, gain[..., i] - gain[..., j], 1.0)
        value = (1.0 - share) * saved[..., i] + share * saved[..., j]
        found = np.where(mixed, np.maximum(found, value), found)
    return found


@under(low="stated confidence is nearly noise at low (3 probits): a cascade saves little anywhere")
def test_a_cascade_saves_much_on_easy_queries_and_little_on_hard_ones(mix: Mix, assumptions: str):
    """Chen, Zaharia and Zou 2023, "FrugalGPT": 59 to 98 % saved, by data set.

    Cost at the quality of the most accurate worker or above. What is *much* is not
    published for these benchmarks; here it is a quarter, and twice what hard ones save.
    """
    saved: dict[str, Effect] = {}
    for label, domains in (("easy", EASY), ("hard", HARD)):
        train, test = (mix(assumptions, domains, 4000, split) for split in ("train", "test"))
        setting = Setting(
            train=train,
            workers=load_pool("paper").worker_names,
            domains=domains,
            subtasks=frozenset(Subtask),
            confidence=True,
            cost_weight=0.0,
        )
        best = BestSingle(setting)
        cascades = [Cascade(replace(setting, cost_weight=weight)) for weight in CASCADE_WEIGHTS]
        played = [play_agent(agent, test, 5 * 4000) for agent in (best, *cascades)]
        columns = np.column_stack([x for e in played for x in (e.quality, e.cost / 1e9)])
        saved[label] = of_means(f"{label}: share of the cost saved", columns, saving)
    error = float(np.hypot(saved["easy"].error, saved["hard"].error))
    more = Effect(saved["easy"].value - saved["hard"].value, error)
    assert shown("easy beyond hard", more).clearly_above(0.0)
    assert not saved["easy"].clearly_below(0.25)
    assert saved["hard"].value < 0.5 * saved["easy"].value
