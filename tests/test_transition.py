"""One transition: what each subtask does to the current answer, money, time and the view."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import paper_config, paper_env

from conductor_gym.engine import Engine
from conductor_gym.env import ConductorEnv
from conductor_gym.spaces import BUDGET_COLUMNS, HISTORY_COLUMNS, WORKER_COLUMNS
from conductor_gym.types import CONTEXT_LEVELS
from conductor_gym.workers.pool import load_pool

PAPER = "workers/pools/paper.toml"
SOLVE, PLAN, VERIFY, REVISE, CONDENSE, AGGREGATE, VOTE, SUBMIT = range(8)
BUSY = st.tuples(st.integers(0, 6), st.sampled_from([0, 0, 0, 2, 3, 5, 6]), st.integers(0, 6))
ANSWERING = (SOLVE, REVISE, AGGREGATE)


def act(env: Any, *action: int) -> Any:
    return env.step(np.array(action))


def taken(env: ConductorEnv) -> list[Any]:
    """Records of the steps so far."""
    return list(env.engine.state.steps[0, : int(env.engine.episodes["steps"][0])])


def current_answer(env: ConductorEnv) -> int | None:
    current = int(env.engine.episodes["current"][0])
    return None if current < 0 else int(env.engine.state.steps["answer"][0, current])


def seen(observation: Any, name: str, row: int = 0) -> float:
    """One named entry of an observation."""
    for part, columns in (
        ("budget", BUDGET_COLUMNS),
        ("history", HISTORY_COLUMNS),
        ("workers", WORKER_COLUMNS),
    ):
        if name in columns:
            entry = observation[part][..., columns.index(name)]
            return float(entry if part == "budget" else entry[row])
    pytest.fail(f"no column {name}")


@pytest.fixture(scope="module")
def long_env() -> ConductorEnv:
    return paper_env(max_steps=20, budget_usd=10.0)


@pytest.fixture(scope="module")
def odd_prices_env(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> ConductorEnv:
    """Prices that leave parts of a nano-USD to round."""
    text = (repository / PAPER).read_text(encoding="utf-8")
    for old, new in (("10", "0.0005"), ("1.25", "0.0015"), ("0.3", "0.0003"), ("0.15", "0.0017")):
        text = text.replace(f"put = {old}\n", f"put = {new}\n")
    path = tmp_path_factory.mktemp("pools") / "odd-prices.toml"
    path.write_text(text, encoding="utf-8")
    return paper_env(pool=str(path), max_steps=12, budget_usd=10.0)


# --- the current answer --------------------------------------------------------------------------


@settings(max_examples=120)
@given(seed=st.integers(0, 2**40), actions=st.lists(BUSY, min_size=20, max_size=20))
def test_the_current_answer_is_the_last_ok_answer_or_the_plurality_with_ties_to_the_newest(
    long_env: ConductorEnv, seed: int, actions: Any
):
    env = long_env
    observation, _ = env.reset(seed=seed)
    answers: list[int] = []
    expected: int | None = None
    for worker, subtask, level in actions:
        observation, _, over, _, info = act(env, worker, subtask, level)
        step: Any = taken(env)[-1]
        earlier, row = list(answers), len(taken(env)) - 1
        if info["invalid"] is None and subtask == VOTE:
            counts = Counter(answers)
            top = max(counts.values())
            expected = next(a for a in reversed(answers) if counts[a] == top)
        elif info["status"] == "ok" and subtask in ANSWERING:
            expected = int(step["answer"])
            answers.append(expected)
        assert current_answer(env) == expected
        assert seen(observation, "has_answer") == (expected is not None)
        share = -1.0
        if earlier and step["answer"] >= 0:
            share = earlier.count(int(step["answer"])) / len(earlier)
        assert seen(observation, "agreement", row) == pytest.approx(share)
        if over:
            break


def test_verify_and_malformed_calls_never_replace_the_current_answer():
    env = paper_env(max_steps=12, budget_usd=10.0, cost_weight=0.0)
    kinds: set[Any] = set()
    for _ in range(60):
        env.reset(seed=1) if not kinds else env.reset()
        act(env, 0, SOLVE, 0)
        if current_answer(env) is None:
            continue
        for worker, subtask in ((5, VERIFY), (6, VERIFY), (3, SOLVE), (4, REVISE)):
            before = current_answer(env)
            _, _, _, _, info = act(env, worker, subtask, 1)
            if subtask == VERIFY or info["status"] == "malformed":
                assert current_answer(env) == before
                kinds.add((subtask, info["status"]))
    assert {(VERIFY, "ok"), (VERIFY, "malformed"), (SOLVE, "malformed")} <= kinds


@pytest.mark.parametrize("subtask", [PLAN, CONDENSE])
def test_subtasks_of_later_tasks_are_masked(subtask: int):
    env = paper_env()
    observation, _ = env.reset(seed=0)
    assert observation["action_mask"][8 + subtask] == 0
    assert act(env, 0, subtask, 0)[4]["invalid"] == "subtask_unsupported"


@pytest.mark.parametrize(
    ("action", "rule"),
    [
        ((7, SOLVE, 0), "worker_absent"),
        ((0, VERIFY, 0), "no_current_answer"),
        ((0, REVISE, 0), "no_current_answer"),
        ((0, AGGREGATE, 0), "no_answers"),
        ((7, VOTE, 6), "no_answers"),
        ((0, PLAN, 0), "subtask_unsupported"),
    ],
)
def test_an_invalid_action_names_its_rule_and_costs_a_step_and_a_hundredth(action: Any, rule: str):
    env = paper_env(latency_weight=1.0)
    env.reset(seed=0)
    observation, reward, over, _, info = act(env, *action)
    assert (info["invalid"], info["status"], reward, over) == (rule, None, -0.01, False)
    assert (info["cost_usd"], info["latency_s"], info["invalid_actions"]) == (0.0, 0.0, 1)
    assert seen(observation, "steps_left") == pytest.approx(0.9)
    assert seen(observation, "money_left") == 1.0
    assert seen(observation, "calls") == 0.0


def test_vote_and_submit_are_free_and_ignore_worker_and_level():
    env = paper_env(latency_weight=1.0)
    for worker, level in ((0, 0), (7, 6)):
        env.reset(seed=0)
        _, _, _, _, before = act(env, 5, SOLVE, 0)
        observation, reward, _, _, info = act(env, worker, VOTE, level)
        assert (reward, info["invalid"], info["status"]) == (0.0, None, "ok")
        assert (info["cost_usd"], info["latency_s"]) == (before["cost_usd"], before["latency_s"])
        assert seen(observation, "worker", 1) == seen(observation, "level", 1) == -1.0
        _, reward, over, _, info = act(env, worker, SUBMIT, level)
        assert (over, info["invalid"]) == (True, None)
        assert reward == info["quality"]


# --- money and time ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=st.integers(0, 2**40), actions=st.lists(BUSY, min_size=12, max_size=12))
def test_each_call_costs_its_tokens_at_the_pool_s_prices_rounded_half_up(
    odd_prices_env: ConductorEnv, seed: int, actions: Any
):
    env = odd_prices_env
    env.reset(seed=seed)
    prices: list[Any] = [
        (w.usd_per_m_input, w.usd_per_m_output) for w in load_pool(env.config.pool).workers
    ]
    prompt = int(env.engine.world.tables.queries["tokens"][env.engine.episodes["query"][0]])
    total = 0
    total_out = 0
    step: Any
    for worker, subtask, level in actions:
        _, _, over, _, info = act(env, worker, subtask, level)
        step = taken(env)[-1]
        called = info["invalid"] is None and subtask not in (VOTE, SUBMIT)
        if not called:
            assert step["cost"] == step["latency"] == step["tokens_out"] == 0
            continue
        context = min(CONTEXT_LEVELS[int(level)], total_out)
        target = 32 if subtask in (VERIFY, REVISE) else 0
        assert step["tokens_in"] == 60 + prompt + target + context
        per_in, per_out = (Fraction(str(usd)) * 1000 for usd in prices[worker])
        exact = int(step["tokens_in"]) * per_in + int(step["tokens_out"]) * per_out
        assert step["cost"] == (exact + Fraction(1, 2)).__floor__()
        total += int(step["cost"])
        assert info["cost_usd"] == total / 1e9
        if info["status"] == "ok":
            total_out += int(step["tokens_out"])
        if over:
            break


def test_an_exact_half_of_a_nano_usd_rounds_up(edited: Callable[..., str]):
    changes = [(r"usd_per_m_output = 10", "usd_per_m_output = 0.0005")]
    pool = edited(PAPER, (r"usd_per_m_input = 1.25", "usd_per_m_input = 0"), *changes)
    engine = Engine(paper_config(pool=pool), 200)
    observation = engine.new_observation()
    engine.start(np.arange(200), np.zeros(200, np.int64), np.arange(200), observation)
    engine.step(np.tile([0, SOLVE, 0], (200, 1)), observation)
    step: Any = engine.state.steps[:, 0]
    odd = step["tokens_out"] % 2 == 1
    assert 50 < odd.sum() < 150
    assert np.array_equal(step["cost"], (step["tokens_out"] + 1) // 2)


def test_rewards_charge_cost_and_latency_as_they_accrue():
    env = paper_env(cost_weight=0.3, latency_weight=0.7)
    env.reset(seed=9)
    charged = 0.0
    for action in ((0, SOLVE, 0), (1, SOLVE, 1), (2, VERIFY, 3)):
        _, reward, _, _, info = act(env, *action)
        charged += float(reward)
        owed = 0.3 * info["cost_usd"] / 0.01 + 0.7 * info["latency_s"] / 60
        assert charged == pytest.approx(-owed, abs=2e-9)


def worst_price(env: ConductorEnv, worker: int, extra: int = 0) -> int:
    """nano-USD of the dearest outcome of an isolated call, computed from the pool's file."""
    pool = load_pool(env.config.pool)
    prompt = int(env.engine.world.tables.queries["tokens"][env.engine.episodes["query"][0]])
    card = pool.workers[worker]
    return round(
        1000 * ((60 + prompt + extra) * card.usd_per_m_input + 4096 * card.usd_per_m_output)
    )


def after_one_solve(spare_nano: int) -> tuple[ConductorEnv, Any, Any]:
    """gpt-5 has solved once and just its own worst price plus `spare_nano` is left."""
    rich = paper_env(cost_weight=0.05)
    rich.reset(seed=0)
    _, _, _, _, info = act(rich, 0, SOLVE, 0)
    budget = round(info["cost_usd"] * 1e9) + worst_price(rich, 0) + spare_nano
    env = paper_env(cost_weight=0.05, budget_usd=budget / 1e9)
    env.reset(seed=0)
    observation, _, _, _, same = act(env, 0, SOLVE, 0)
    assert same["cost_usd"] == info["cost_usd"]
    return env, observation, same


def test_a_worker_is_valid_down_to_the_last_nano_usd_of_its_worst_price():
    env, observation, _ = after_one_solve(0)
    assert observation["action_mask"][0] == 1
    assert act(env, 0, SOLVE, 0)[4]["status"] == "ok"
    env, observation, _ = after_one_solve(-1)
    assert observation["action_mask"][0] == 0
    assert act(env, 0, SOLVE, 0)[4]["invalid"] == "worker_unaffordable"


def test_an_unaffordable_call_spends_a_step_and_nothing_else():
    env, observation, before = after_one_solve(0)
    assert observation["action_mask"][0] == 1
    # `verify` reads the answer too, so its worst price is above what is left.
    observation, reward, over, _, info = act(env, 0, VERIFY, 0)
    assert (info["status"], info["invalid"], info["invalid_actions"]) == ("unaffordable", None, 0)
    assert (reward, over) == (0.0, False)
    assert (info["cost_usd"], info["latency_s"]) == (before["cost_usd"], before["latency_s"])
    assert seen(observation, "steps_left") == pytest.approx(0.8)
    assert seen(observation, "status", 1) == pytest.approx(4 / 7)
    assert seen(observation, "calls", 0) == pytest.approx(0.1)
    assert act(env, 0, SOLVE, 0)[4]["status"] == "ok"


def test_an_unmade_call_does_not_use_up_an_attempt():
    env, _, _ = after_one_solve(0)
    assert act(env, 0, SOLVE, 6)[4]["status"] == "unaffordable"
    act(env, 0, SOLVE, 0)
    plain = paper_env(cost_weight=0.05)
    plain.reset(seed=0)
    act(plain, 0, SOLVE, 0)
    act(plain, 0, SOLVE, 0)
    assert taken(env)[2]["luck"] == taken(plain)[1]["luck"]


def test_an_episode_ends_when_no_call_is_affordable_and_submits_the_current_answer():
    env = paper_env(budget_usd=0.0014, max_steps=64, cost_weight=0.0)
    qualities: set[float] = set()
    observation: Any
    for index in range(20):
        observation, info = env.reset(seed=0, options={"episode_index": index})
        over, steps = False, 0
        while not over:
            assert observation["action_mask"][:8].any()
            worker = int(np.flatnonzero(observation["action_mask"][:8])[0])
            observation, _, over, truncated, info = act(env, worker, SOLVE, 0)
            steps += 1
            assert truncated is False
        assert steps < 64
        assert not observation["action_mask"][:8].any()
        assert info["cost_usd"] <= 0.0014
        if current_answer(env) is not None:
            assert info["quality"] == (current_answer(env) == 0)
        qualities.add(info["quality"])
    assert qualities == {0.0, 1.0}


def test_a_call_past_the_window_overflows_unbilled_but_takes_its_time_to_first_token(
    edited: Callable[..., str],
):
    small = edited(PAPER, (r"window = 400000", "window = 100"))
    for seed in range(5):
        envs = [paper_env(pool=pool, cost_weight=1.0) for pool in ("paper", small)]
        for env in envs:
            env.reset(seed=seed)
        _, _, _, _, info = act(envs[0], 0, SOLVE, 0)
        observation, reward, _, _, overflow = act(envs[1], 0, SOLVE, 0)
        assert (overflow["status"], overflow["invalid"], reward) == ("overflow", None, 0.0)
        assert overflow["cost_usd"] == 0.0
        writing = int(taken(envs[0])[0]["tokens_out"]) / 80
        assert overflow["latency_s"] == pytest.approx(info["latency_s"] - writing, abs=2e-6)
        assert overflow["latency_s"] > 0.05
        assert seen(observation, "has_answer") == 0.0
        assert seen(observation, "errors") == pytest.approx(0.1)


# --- the view ------------------------------------------------------------------------------------


def test_history_and_worker_rows_say_what_happened():
    env = paper_env()
    for seed in range(30):
        env.reset(seed=seed)
        act(env, 0, SOLVE, 0)
        act(env, 1, SOLVE, 0)
        observation, _, _, _, info = act(env, 2, VERIFY, 1)
        first, second, verdict = taken(env)
        if not first["status"] == second["status"] == verdict["status"] == 0:
            continue
        assert seen(observation, "agreement", 0) == -1.0
        assert seen(observation, "agreement", 1) == (first["answer"] == second["answer"])
        assert seen(observation, "agrees_with_current_answer", 0) == (
            first["answer"] == second["answer"]
        )
        assert seen(observation, "wrote_current_answer", 0) == 0.0
        assert seen(observation, "wrote_current_answer", 1) == 1.0
        assert seen(observation, "verdict", 2) == verdict["verdict"]
        assert seen(observation, "last_confidence", 1) == pytest.approx(float(second["confidence"]))
        assert seen(observation, "money_left") == pytest.approx(1 - info["cost_usd"] / 0.5)
        assert seen(observation, "worker", 2) == pytest.approx(3 / 8)
        assert seen(observation, "subtask", 2) == pytest.approx(3 / 8)
        assert seen(observation, "level", 2) == pytest.approx(2 / 7)
        return
    pytest.fail("no episode of 30 had three ok calls")
