"""Fitting a simulated pool: it recovers what is known, and agrees with queries it never saw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.fit import fit_recorded, write_pool
from conductor_gym.leaderboard.fidelity import differences, fidelity, statistics
from conductor_gym.workers.fitting import fit_scores, tetrachoric
from conductor_gym.workers.pool import Pool, load_pool

LOADINGS = np.array([1.0, 0.9, 0.95, 0.7])
RHO = np.array([0.8, 0.5])
BORDERS = np.array([[0.8, 0.4, 0.0, -0.4], [0.3, 0.9, -0.6, 0.1]])


def known_world(queries: int, seed: int = 1) -> tuple[Any, Any]:
    """Scores and domains from loadings, shares and abilities that are known."""
    generator = np.random.default_rng(seed)
    domain = np.arange(queries) % 2
    strength = LOADINGS * np.sqrt(RHO[domain])[:, None]
    noise = generator.standard_normal((queries, 4)) * np.sqrt(1 - strength**2)
    lack = strength * generator.standard_normal((queries, 1)) + noise
    return (lack < BORDERS[domain]).astype(float), domain


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.3, 0.8])
def test_tetrachoric_recovers_the_correlation_behind_two_columns(correlation: float) -> None:
    generator = np.random.default_rng(5)
    pair = generator.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 200_000)
    right = (pair < [0.5, -0.3]).astype(float)
    assert tetrachoric(right[:, 0], right[:, 1]) == pytest.approx(correlation, abs=0.015)


def test_a_fit_recovers_loadings_and_shares_it_does_not_know() -> None:
    scores, domain = known_world(60_000)
    fitted = fit_scores(scores, domain, ("a", "b"))
    np.testing.assert_allclose(fitted.loadings, LOADINGS, atol=0.04)
    np.testing.assert_allclose(fitted.rho, RHO, atol=0.05)
    assert (fitted.rho_low < fitted.rho + 1e-9).all()
    assert (fitted.rho < fitted.rho_high + 1e-9).all()
    assert fitted.residual < 0.02


def test_standard_errors_shrink_with_the_square_root_of_the_queries() -> None:
    few = fit_scores(*known_world(1000), ("a", "b"))
    many = fit_scores(*known_world(16_000), ("a", "b"))
    np.testing.assert_allclose(few.accuracy_error / many.accuracy_error, 4.0, rtol=0.1)
    assert (many.rho_high - many.rho_low < few.rho_high - few.rho_low).all()


SCORES, DOMAIN = known_world(2000)


@pytest.mark.parametrize(
    ("scores", "domain", "said"),
    [
        (SCORES[:, :1], DOMAIN, "at least two workers"),
        (SCORES * 0.5, DOMAIN, "0 or 1"),
        (SCORES[:20], DOMAIN[:20], "has 10 queries"),
        (np.ones_like(SCORES), DOMAIN, "nothing tells what they share"),
    ],
    ids=["one worker", "not graded", "few queries", "always right"],
)
def test_data_that_cannot_be_fitted_is_refused_by_name(scores: Any, domain: Any, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        fit_scores(scores, domain, ("a", "b"))


def test_a_simulated_pool_cannot_be_fitted() -> None:
    with pytest.raises(ConfigError, match="needs recorded outcomes"):
        fit_recorded("paper", "paper-v1", "train", "x")


def test_statistics_are_the_plain_ones() -> None:
    scores = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 1]], float)
    found = statistics(scores, np.array([0, 0, 1, 1]), 2)
    assert found.oracle == 0.75
    assert found.majority == 0.75
    assert found.best_by_domain == 0.75
    assert found.how_many.tolist() == [0.25, 0.0, 0.5, 0.25]
    np.testing.assert_allclose(found.phi[0], np.corrcoef(scores.T)[0, 1])
    assert all(value == 0.0 for value in differences(found, found).values())


@pytest.fixture(scope="module")
def fitted(recorded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool fitted to the train split of gsm8k."""
    assert recorded_folder
    path = tmp_path_factory.mktemp("fit") / "fitted.toml"
    write_pool(fit_recorded("gsm8k", "gsm8k", "train", "fitted")[0], path)
    return path


@pytest.mark.recorded
def test_a_fitted_pool_is_a_pool_whose_numbers_name_their_source(fitted: Path) -> None:
    pool = load_pool(str(fitted))
    assert pool.accuracy is not None
    assert pool.loadings is not None
    assert pool.accuracy.source == pool.loadings.source == "fitted"
    assert max(pool.loadings.values.values()) == 1.0
    assert set(pool.accuracy.standard_errors) == set(pool.worker_names)
    assert pool.model is not None
    assert pool.model.kappa.source == "assumed"


@pytest.mark.recorded
def test_a_fitted_pool_runs_multi_call_episodes_on_the_recorded_queries(fitted: Path) -> None:
    config = EnvConfig(pool=str(fitted), suite="gsm8k", split="test", cost_weight=0.0)
    engine = Engine(config, 200)
    slots = np.arange(200, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(slots, np.zeros_like(slots), slots, observation)
    for action in ([0, 0, 0], [1, 2, 3], [1, 3, 3], [0, 7, 0]):
        engine.step(np.tile(np.array(action), (200, 1)), observation)
    assert (engine.episodes["over"] == 1).all()
    assert 0.5 < engine.episodes["quality"].mean() < 1.0


@pytest.mark.recorded
@pytest.mark.parametrize("table", ["gsm8k", "crux"])
def test_a_fit_agrees_with_unseen_queries_within_the_noise_floor(
    recorded_folder: Path, tmp_path: Path, table: str
) -> None:
    assert recorded_folder
    path = tmp_path / "pool.toml"
    write_pool(fit_recorded(table, table, "train", "pool")[0], path)
    found = fidelity(str(path), table, table, "train", "test")
    outside = {name: m for name, m in found["measures"].items() if not m["within"]}
    assert outside == {}
    for name in ("accuracy_mae", "oracle_error", "phi_mae", "majority_error"):
        assert set(found["measures"][name]) == {"value", "noise_floor", "within"}


@pytest.mark.recorded
def test_a_pool_without_shared_difficulty_is_told_apart(
    recorded_folder: Path, tmp_path: Path
) -> None:
    assert recorded_folder
    values = fit_recorded("crux", "crux", "train", "pool")[0].model_dump(exclude_none=True)
    for domain in values["domains"].values():
        domain["rho"] = {"value": 0.0, "source": "fitted"}
    path = tmp_path / "independent.toml"
    write_pool(Pool.model_validate(values), path)
    measures = fidelity(str(path), "crux", "crux", "train", "test")["measures"]
    for name in ("oracle_error", "phi_mae", "majority_error", "how_many_distance"):
        assert not measures[name]["within"], name


@pytest.mark.recorded
def test_a_fit_is_not_held_against_the_queries_it_saw(fitted: Path) -> None:
    with pytest.raises(ConfigError, match="hold it against another one"):
        fidelity(str(fitted), "gsm8k", "gsm8k", "train", "train")
    with pytest.raises(ConfigError, match="must be simulated and have the workers"):
        fidelity(str(fitted), "crux", "crux", "train", "test")
