"""Keyed draws: known answers, the committed table, the order of queries, frozen episodes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_world import paper_config, paper_env

from conductor_gym.dynamics import keyed, order, quantiles
from conductor_gym.engine import Engine

U: Any = np.uint64
WORDS = st.integers(0, 2**64 - 1)

# Random123 1.14, kat_vectors, "threefry 2 64 20": counter, key, expected.
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0xC2B6E3A8C2C69865, 0x6F81ED42F350084D)),
    ((2**64 - 1,) * 2, (2**64 - 1,) * 2, (0xE02CB7C4D95D277A, 0xD06633D0893B8B68)),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344),
        (0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x263C7D30BB0F0AF1, 0x56BE8361D3311526),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers_of_random123(counter: Any, key: Any, expected: Any):
    words = keyed.threefry(U(key[0]), U(key[1]), U(counter[0]), U(counter[1]))
    assert tuple(int(word) for word in words) == expected


def test_names_and_keys_hash_to_fixed_words():
    assert keyed.uid_word("paper-constrained/gpt-5") == 0xB54F3620081427F1
    assert keyed.key_from_text("public") == (0x7B4F2D8B9CF88EAC, 0x1C46215625B45DD3)


def test_no_two_uses_of_a_key_share_a_number():
    for names in (keyed.Domain, keyed.Purpose):
        assert len(names.__members__) == len({int(value) for value in names})


@given(a=WORDS, b=WORDS, c=st.integers(-(2**63), 2**63 - 1), d=st.integers(-(2**63), 2**63 - 1))
def test_absorbing_signed_names_is_absorbing_their_two_s_complement(a: int, b: int, c: int, d: int):
    signed = keyed.absorb(U(a), U(b), c, d)
    assert signed == keyed.threefry(U(a), U(b), U(c % 2**64), U(d % 2**64))


def test_the_committed_quantiles_equal_their_recomputation():
    assert np.array_equal(quantiles.normal_quantiles(), quantiles.make_normal_quantiles())


def test_the_quantile_table_is_a_standard_normal():
    table = quantiles.normal_quantiles()
    a, b = table[:-1], table[1:]
    assert table.shape == (1025,)
    assert np.all(b > a)
    assert np.array_equal(table, -table[::-1])
    assert np.mean((a * a + a * b + b * b) / 3) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("sigma", [0.0, 0.25, 0.4, 0.87, 1.5])
def test_lognormal_factors_have_mean_one_and_their_spread(sigma: float):
    table = quantiles.lognormal_factors(sigma)
    assert np.mean((table[:-1] + table[1:]) / 2) == pytest.approx(1.0, abs=1e-8)
    assert np.log(table[768] / table[256]) == pytest.approx(sigma * 2 * 0.67449, abs=1e-4)


@given(word=WORDS)
def test_interpolation_stays_inside_the_table_and_is_linear_between_entries(word: int):
    table = quantiles.normal_quantiles()
    uniform = (word >> 11) / 2**53
    assert 0.0 <= keyed.unit(U(word)) == uniform < 1.0
    expected = np.interp(uniform * 1024, np.arange(1025), table)
    assert keyed.interpolate(table, U(word)) == pytest.approx(expected, abs=1e-12)


def test_draws_of_one_subkey_are_uniform_and_uncorrelated_across_purposes():
    rows = [
        [word for p in (1, 2, 3) for word in keyed.threefry(U(i), U(7), U(p), U(0))]
        for i in range(10_000)
    ]
    draws = np.array(rows, np.uint64) / 2.0**64
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.015
    assert np.abs(draws.var(axis=0) - 1 / 12).max() < 0.003
    correlation = np.corrcoef(draws.T) - np.eye(6)
    assert np.abs(correlation).max() < 0.045


def order_of(key0: int, key1: int, indices: Any, size: int) -> Any:
    """Rows that a stream's subkey gives to indices."""
    walk = np.zeros((5, len(indices)), np.uint64)
    walk[0], walk[1] = key0, key1
    found = np.zeros(len(indices), np.int64)
    order.find_queries(walk, found, indices, len(indices), size)
    return found


@given(a=WORDS, b=WORDS, size=st.integers(1, 300), cycle=st.integers(0, 2**40))
def test_every_pass_is_a_permutation_of_the_split(a: int, b: int, size: int, cycle: int):
    start = cycle * size
    rows = order_of(a, b, start + np.arange(size), size)
    assert sorted(rows.tolist()) == list(range(size))


@pytest.mark.parametrize("size", [8000, 4096, 4097, 6001])
def test_whole_splits_are_permuted_too(size: int):
    rows = order_of(1, 2, np.arange(size), size)
    assert np.array_equal(np.sort(rows), np.arange(size))
    # No trend is left between index and row.
    assert abs(np.corrcoef(np.arange(size), rows)[0, 1]) < 0.05


def queries_of(engine: Engine, stream: int, first: int) -> list[int]:
    slots = np.arange(engine.n)
    engine.start(slots, np.full(engine.n, stream), first + slots, engine.new_observation())
    return engine.episodes["query"].tolist()


def test_streams_and_passes_each_have_their_own_order_of_the_same_queries():
    engine = Engine(paper_config(split="dev"), 2000)
    orders = [queries_of(engine, stream, first) for stream in (0, 1) for first in (0, 2000)]
    assert [sorted(rows) for rows in orders] == [list(range(2000))] * 4
    for i, rows in enumerate(orders):
        for other in orders[i + 1 :]:
            assert np.mean(np.array(rows) == np.array(other)) < 0.01


def test_another_key_gives_another_order():
    orders = [queries_of(Engine(paper_config(key=key), 500), 0, 0) for key in ("public", "season")]
    assert np.mean(np.array(orders[0]) == np.array(orders[1])) < 0.05


def test_answers_of_wrong_calls_fill_all_bits_of_their_identity():
    # An identity that passed through a float would be a multiple of 512.
    engine = Engine(paper_config(cost_weight=0.0), 400)
    observation = engine.new_observation()
    slots = np.arange(400)
    engine.start(slots, np.zeros(400, np.int64), slots, observation)
    engine.step(np.tile([6, 0, 0], (400, 1)), observation)
    answers = engine.state.steps["answer"][:, 0]
    tails = Counter(int(answer) % 512 for answer in answers if answer > 2**32)
    assert sum(tails.values()) > 50
    assert len(tails) > 40


# (settings, seed, index), uid, then per step: action, status or broken rule, nano-USD,
# microseconds, reward. `Conductor-v0` never changes meaning: do not edit, register a new version.
FROZEN: list[Any] = [
    (
        ({"cost_weight": 0.05, "latency_weight": 0.02}, 0, 0),
        "paper-v1/train/BigCodeBench/000735",
        [
            ((6, 0, 0), "ok", 266700, 36922933, -0.013641144),
            ((5, 2, 2), "ok", 188400, 7442632, -0.003422878),
            ((5, 3, 2), "ok", 314400, 21158628, -0.008624876),
            ((1, 0, 0), "ok", 11154000, 16862335, -0.061390778),
            ((2, 5, 5), "ok", 11530000, 9565387, -0.060838462),
            ((0, 6, 0), "ok", 0, 0, 0.0),
            ((3, 2, 0), "ok", 238750, 24306861, -0.009296037),
            ((7, 0, 0), "worker_absent", 0, 0, -0.01),
            ((0, 1, 0), "subtask_unsupported", 0, 0, -0.01),
            ((0, 7, 0), "ok", 0, 0, 0.0),
        ],
    ),
    (
        ({"split": "test", "assumptions": "high", "key": "golden"}, 7, 9001),
        "paper-v1/test/GPQA-D/000141",
        [
            ((4, 0, 0), "ok", 567400, 61679470, -0.05674),
            ((4, 0, 0), "ok", 844000, 92108261, -0.0844),
            ((4, 3, 1), "ok", 898000, 94803974, -0.0898),
            ((0, 2, 3), "ok", 7025000, 2781666, -0.7025),
            ((4, 3, 4), "ok", 1322900, 62666795, -0.13229),
            ((2, 0, 6), "ok", 23771250, 15151087, -2.377125),
            ((1, 5, 6), "ok", 44910000, 20381133, -4.491),
            ((0, 6, 0), "ok", 0, 0, 0.0),
            ((6, 2, 1), "ok", 94000, 5936981, -0.0094),
            ((6, 2, 1), "ok", 97200, 6529561, 0.99028),
        ],
    ),
    (
        ({"split": "dev", "assumptions": "low", "budget_usd": 0.05, "max_steps": 6}, 2**40, 3),
        "paper-v1/dev/MATH500/000177",
        [
            ((2, 0, 0), "ok", 10320000, 12487147, -0.02064),
            ((1, 0, 0), "worker_unaffordable", 0, 0, -0.01),
            ((0, 2, 1), "worker_unaffordable", 0, 0, -0.01),
            ((3, 5, 3), "ok", 415250, 26459988, -0.0008305),
            ((0, 6, 0), "ok", 0, 0, 0.0),
            ((0, 7, 0), "ok", 0, 0, 1.0),
        ],
    ),
]


@pytest.mark.parametrize(("start", "uid", "steps"), FROZEN, ids=["latency", "high", "low"])
def test_frozen_episode_replays_to_the_nano_usd_and_microsecond(start: Any, uid: str, steps: Any):
    settings, seed, index = start
    env = paper_env(**settings)
    _, info = env.reset(seed=seed, options={"episode_index": index})
    assert info["uid"] == uid
    told: list[Any] = []
    over = False
    for action, *_ in steps:
        assert not over
        _, reward, over, _, info = env.step(np.array(action))
        row: Any = env.engine.state.steps[0, len(told)]
        cost, latency = int(row["cost"]), int(row["latency"])
        told.append(
            (action, info["invalid"] or info["status"], cost, latency, round(float(reward), 12))
        )
    assert told == steps
    assert over
