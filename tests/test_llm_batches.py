"""Fine-tuning meets every episode once an epoch, alike in length and in random order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from conductor_gym.agents.llm_batches import LengthBatches


@given(
    lengths=st.lists(st.integers(1, 900), max_size=300),
    batch=st.integers(1, 9),
    seed=st.integers(0, 5),
)
def test_every_episode_comes_once_an_epoch_and_a_seed_has_one_order(
    lengths: list[int], batch: int, seed: int
) -> None:
    order = LengthBatches(lengths, batch, seed)
    first = list(order)
    assert sorted(first) == list(range(len(lengths))) == list(range(len(order)))
    assert list(order) == first == list(LengthBatches(lengths, batch, seed))


def test_batches_are_alike_in_length_and_long_ones_are_spread_over_the_epoch() -> None:
    lengths = np.random.default_rng(0).integers(100, 900, 3200)
    order = LengthBatches(lengths.tolist(), 8, 0)
    batches = lengths[list(order)].reshape(-1, 8)
    padded = batches.max(axis=1).sum() * 8 / lengths.sum()
    unsorted = lengths.reshape(-1, 8).max(axis=1).sum() * 8 / lengths.sum()
    assert padded < 1.06 < 1.4 < unsorted
    quarters = batches.mean(axis=1).reshape(4, -1).mean(axis=1)
    assert np.ptp(quarters) < 0.15 * lengths.mean()
    order.set_epoch(1)
    assert not np.array_equal(lengths[list(order)].reshape(-1, 8), batches)
