"""Public normals of texts: the moments that the simulator counts on, from the train rows alone."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from conductor_gym.tasks.public_normals import (
    LEVEL_SHARE,
    TRAIN_ROWS_PER_ENTRY,
    public_normals,
    text_direction,
)


def world(rows: int, seed: int = 1, domains: int = 2) -> tuple[Any, Any, Any, Any]:
    """Features that go together, with each other and with the level, and one that never varies."""
    generator = np.random.Generator(np.random.Philox(seed))
    domain = np.arange(rows) % domains
    level = generator.integers(0, 3, rows)
    hidden = generator.integers(-500, 501, (rows, 20)) / 1000.0
    features = 0.5 * hidden @ (generator.integers(-9, 10, (20, 39)) / 30.0)
    features[:, 3] = level / 3.0 - 0.5 * hidden[:, 0]
    features[:, 7] = -1.0
    features[:, 8] = hidden[:, 1] > 0.49  # seldom there, like a word
    train = generator.random(rows) < 0.6
    return np.clip(features.round(3), -1.0, 1.0), level, domain, train


def test_entries_have_mean_0_variance_1_and_no_correlation_on_the_train_rows_of_a_domain() -> None:
    features, level, domain, train = world(1200)
    normals = public_normals(features, level, domain, train)
    assert normals.shape == (1200, 16)
    for d in range(2):
        here = normals[(domain == d) & train]
        np.testing.assert_allclose(here.mean(axis=0), 0.0, atol=0.002)
        np.testing.assert_allclose(np.cov(here.T, bias=True), np.eye(16), atol=0.02)


def test_other_rows_come_out_nearly_so() -> None:
    features, level, domain, train = world(4000)
    normals = public_normals(features, level, domain, train)
    here = normals[(domain == 0) & ~train]
    np.testing.assert_allclose(here.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(np.cov(here.T), np.eye(16), atol=0.25)


def test_entry_0_holds_the_level_in_its_share_and_rises_with_it() -> None:
    features, level, domain, train = world(1200)
    normals = public_normals(features, level, domain, train)
    chosen = (domain == 0) & train
    told = np.corrcoef(normals[chosen, 0], level[chosen])[0, 1]
    assert told == pytest.approx(np.sqrt(LEVEL_SHARE), abs=0.01)


def test_entries_differ_between_texts_of_one_level() -> None:
    features, level, domain, train = world(600)
    normals = public_normals(features, level, domain, train)
    for one in range(3):
        assert normals[level == one].std(axis=0).min() > 0.3


def test_rows_of_other_splits_change_nothing() -> None:
    features, level, domain, train = world(400)
    normals = public_normals(features, level, domain, train)
    alone = public_normals(features[train], level[train], domain[train], train[train])
    np.testing.assert_array_equal(normals[train], alone)
    one = train.copy()
    one[np.flatnonzero(~train)[0]] = True
    with_one = public_normals(features[one], level[one], domain[one], train[one])
    np.testing.assert_array_equal(normals[one], with_one)


def test_domains_do_not_touch_each_other() -> None:
    features, level, domain, train = world(400)
    normals = public_normals(features, level, domain, train)
    second = domain == 1
    alone = public_normals(features[second], level[second], domain[second] + 6, train[second])
    np.testing.assert_array_equal(normals[second], alone)


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    features, level, domain, train = world(300)
    order = np.random.Generator(np.random.Philox(seed)).permutation(300)
    normals = public_normals(features, level, domain, train)
    shuffled = public_normals(features[order], level[order], domain[order], train[order])
    np.testing.assert_array_equal(shuffled, normals[order])


def test_the_same_bits_whatever_the_threads_and_the_machine() -> None:
    features, level, domain, train = world(1200)
    digests: set[str] = set()
    for threads in (1, 2):
        with threadpool_limits(threads):
            normals = public_normals(features, level, domain, train)
        digests.add(hashlib.blake2b(normals.tobytes(), digest_size=8).hexdigest())
    assert digests == {"99ed2e7b9ee02a8c"}


def test_few_train_rows_fill_few_entries() -> None:
    for rows, filled in ((7, 1), (8, 1), (20, 2), (40, 5), (128, 16), (200, 16)):
        features, level, domain, _ = world(2 * rows, domains=1)
        train = np.arange(2 * rows) < rows
        normals = public_normals(features, level, domain, train)
        assert int(normals.any(axis=0).sum()) == filled, TRAIN_ROWS_PER_ENTRY
        assert not normals[:, filled:].any()
    seven = public_normals(features[:12], level[:12], domain[:12], np.arange(12) < 7)
    assert len(np.unique(seven[:, 0])) == len(np.unique(level[:12])), "the level alone"


def test_a_domain_that_train_does_not_hold_is_told_nothing_about() -> None:
    features, level, domain, train = world(400)
    normals = public_normals(features, level, domain, train & (domain == 0))
    assert not normals[domain == 1].any()


def test_a_single_level_leaves_entry_0_to_the_text() -> None:
    features, _, domain, train = world(600)
    normals = public_normals(features, np.full(600, 2), domain, train)
    here = normals[(domain == 0) & train, 0]
    assert float(here.std()) == pytest.approx(1.0, abs=0.01)


def test_one_text_for_all_leaves_entry_0_to_the_level() -> None:
    _, level, domain, train = world(600)
    normals = public_normals(np.full((600, 39), 0.25), level, domain, train)
    here = (domain == 0) & train
    assert abs(np.corrcoef(normals[here, 0], level[here])[0, 1]) == pytest.approx(1.0)
    assert not normals[:, 1:].any()


def test_features_of_low_rank_fill_only_as_many_entries() -> None:
    features, level, domain, train = world(600)
    low = np.zeros_like(features)
    low[:, :4] = features[:, 10:14]
    normals = public_normals(low, level, domain, train)
    assert int(normals[domain == 0].any(axis=0).sum()) in (4, 5)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    rows = draw(st.integers(0, 40))
    kinds = st.sampled_from((-1.0, 0.0, 1e-7, 0.1, 0.5, 1.0)) | st.floats(-1.0, 1.0)
    return (
        draw(arrays(np.float64, (rows, draw(st.integers(1, 5))), elements=kinds, fill=kinds)),
        draw(arrays(np.int64, rows, elements=st.integers(0, 100))),
        draw(arrays(np.int64, rows, elements=st.integers(0, 2))),
        draw(arrays(np.bool_, rows)),
    )


@given(tables())
@settings(max_examples=80)
def test_whatever_the_table_entries_are_finite_bounded_and_rounded(table: Any) -> None:
    normals = public_normals(*table)
    assert normals.shape == (len(table[0]), 16)
    assert np.isfinite(normals).all()
    assert np.abs(normals).max(initial=0.0) <= 4.0
    np.testing.assert_array_equal(normals, np.round(normals, 6))
    for d in range(3):
        here = normals[(table[2] == d) & table[3]]
        assert here.size == 0 or float((here**2).mean(axis=0).max()) < 1.0 + 1e-5


def test_directions_are_public_and_differ() -> None:
    found = np.array([text_direction(j, 39) for j in range(16)])
    assert float(np.abs(found).max()) <= 1.0
    assert float(np.abs(np.corrcoef(found) - np.eye(16)).max()) < 0.7
    assert found[0, :3].round(6).tolist() == [0.676727, -0.109768, 0.180211]
    assert text_direction(3, 5) == text_direction(3, 39)[:5]
