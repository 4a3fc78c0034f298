"""Fitting a simulated pool: it recovers what is known, and says what it cannot know."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.fit import find_source, fit_source, write_pool
from conductor_gym.workers.calibration import skewed, skewed_probit
from conductor_gym.workers.factors import fit_shared, one_factor
from conductor_gym.workers.fitting import Fitted, Table, fit_outcomes
from conductor_gym.workers.measures_fit import fit_attractor, fit_kappa, fit_latency, fit_tokens
from conductor_gym.workers.pool import load_pool
from conductor_gym.workers.posterior import posterior
from conductor_gym.workers.tetrachoric import both_below, pair_correlations, tetrachoric
from conductor_gym.workers.text_fit import fit_text

LOADINGS = np.array([1.0, 0.9, 0.95, 0.7, 0.8])
SHARED = np.array([0.8, 0.5])
BORDERS = np.array([[0.8, 0.4, 0.0, -0.4, 0.2], [0.3, 0.9, -0.6, 0.1, 0.5]])
FAMILY = np.array([0.0, 0.0, 0.0, 0.5, 0.5])


def known_world(
    queries: int, seed: int = 1, family: bool = False, attempts: int = 1, kappa: float = 0.5
) -> tuple[Any, Any]:
    """Scores [queries, workers, attempts] and domains from parameters that are known."""
    generator = np.random.default_rng(seed)
    domain = np.arange(queries) % 2
    strength = LOADINGS * np.sqrt(SHARED[domain])[:, None]
    lack = strength * generator.standard_normal((queries, 1))
    left = 1.0 - strength**2
    if family:
        apart = FAMILY * np.sqrt(left)
        lack = lack + apart * generator.standard_normal((queries, 1))
        left = left - apart**2
    lasting = np.sqrt(left * kappa) * generator.standard_normal((queries, 5))
    tries = [
        lack + lasting + np.sqrt(left * (1 - kappa)) * generator.standard_normal((queries, 5))
        for _ in range(attempts)
    ]
    return np.stack([(t < BORDERS[domain]).astype(float) for t in tries], axis=2), domain


def table(scores: Any, domain: Any, **more: Any) -> Table:
    names = tuple(f"w{w}" for w in range(scores.shape[1]))
    return Table(names, ("a", "b"), domain, scores, **more)


# --- correlations of pairs -----------------------------------------------------------------------


def test_the_bivariate_normal_agrees_with_scipy() -> None:
    from scipy.stats import multivariate_normal

    for h, k, r in ((0.3, -0.4, 0.6), (1.5, 1.2, -0.8), (-2.0, 0.1, 0.95), (0.0, 0.0, 0.0)):
        expected = multivariate_normal.cdf([h, k], [0, 0], [[1, r], [r, 1]])
        found = both_below(np.array(h), np.array(k), np.array(r))
        assert float(found) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.3, 0.8, 0.95])
def test_tetrachoric_inverts_the_bivariate_normal(correlation: float) -> None:
    h, k, r = np.array([0.5]), np.array([-0.3]), np.array([correlation])
    assert tetrachoric(h, k, both_below(h, k, r)) == pytest.approx(r, abs=1e-6)


def test_standard_errors_of_correlations_are_what_repeated_tables_show() -> None:
    tables = [known_world(600, seed) for seed in range(150)]
    found = [pair_correlations(s[:, :, 0], d, 2) for s, d in tables]
    # Medians: a table with an empty cell tells nothing about its pair, and says so.
    low, high = np.quantile([p.correlation for p in found], [0.16, 0.84], axis=0)
    seen, told = (high - low) / 2.0, np.median([p.error for p in found], axis=0)
    np.testing.assert_allclose(told / seen, 1.0, atol=0.25)


def test_visible_format_failures_do_not_hide_what_workers_share() -> None:
    scores, domain = known_world(60_000)
    first: Any = scores[:, :, 0]
    random: Any = np.random.default_rng(3)
    fails: Any = random.random(first.shape) < 0.3
    failed: Any = np.where(fails, 0.0, first)
    plain = pair_correlations(first, domain, 2)
    masked = pair_correlations(failed, domain, 2, fails)
    gap = np.abs(masked.correlation - plain.correlation)
    assert (gap < 4.0 * np.hypot(masked.error, plain.error)).all()
    blind = pair_correlations(failed, domain, 2)
    assert blind.correlation.mean() < masked.correlation.mean() - 0.03, "it matters"


# --- shared factors ------------------------------------------------------------------------------


def reproduced(fitted: Fitted) -> Any:
    """Correlations of all pairs that the fitted factors make, [domains, pairs]."""
    loadings = fitted.shared.loadings
    rows, columns = np.tril_indices(loadings.shape[1], -1)
    return (loadings[:, rows] * loadings[:, columns]).sum(axis=2)


def known_correlations(family: bool) -> Any:
    rows, columns = np.tril_indices(5, -1)
    strength = LOADINGS * np.sqrt(SHARED)[:, None]
    made = strength[:, rows] * strength[:, columns]
    if family:
        apart = FAMILY * np.sqrt(1.0 - strength**2)
        made = made + apart[:, rows] * apart[:, columns]
    return made


@pytest.mark.parametrize("family", [False, True], ids=["one difficulty", "with a family"])
def test_a_fit_recovers_what_workers_share(family: bool) -> None:
    fitted = fit_outcomes(table(*known_world(60_000, family=family)))
    np.testing.assert_allclose(reproduced(fitted), known_correlations(family), atol=0.03)
    np.testing.assert_allclose(fitted.rho, (fitted.shared.loadings**2).sum(axis=2).mean(axis=1))
    assert (fitted.shared.loadings.shape[2] > 1) == family


def test_noise_alone_is_not_taken_for_differences_between_domains() -> None:
    scores, domain = known_world(1500)
    same = np.random.default_rng(0).integers(0, 6, len(domain))
    pairs = pair_correlations(scores[:, :, 0][domain == 0], same[domain == 0], 6)
    shared = fit_shared(pairs, 5, 6)
    assert shared.domain_spread < 0.06
    a, scale = one_factor(pairs, 5, 6)
    assert float(scale.std() * (a**2).mean()) < 0.1


def test_standard_errors_shrink_with_the_square_root_of_the_queries() -> None:
    few = fit_outcomes(table(*known_world(1000)))
    many = fit_outcomes(table(*known_world(16_000)))
    np.testing.assert_allclose(few.accuracy_error / many.accuracy_error, 4.0, rtol=0.1)
    assert (many.rho_error < 0.6 * few.rho_error).all()


def test_a_fit_is_the_same_every_time() -> None:
    one, other = (fit_outcomes(table(*known_world(800))) for _ in range(2))
    assert np.array_equal(one.shared.loadings, other.shared.loadings)
    assert np.array_equal(one.rho_error, other.rho_error)


@pytest.mark.parametrize("skew", [-0.2, 0.0, 0.15])
def test_a_skew_difficulty_is_recovered_and_leaves_accuracies_and_pairs_as_they_are(
    skew: float,
) -> None:
    generator: Any = np.random.default_rng(6)
    n = 40_000
    domain = np.arange(n) % 2
    strength = LOADINGS * np.sqrt(SHARED[domain])[:, None]
    lack = strength * skewed(generator.standard_normal((n, 1)), skew)
    lack = lack + np.sqrt(1.0 - strength**2) * generator.standard_normal((n, 5))
    scores = (lack < BORDERS[domain]).astype(float)
    found = fit_outcomes(table(scores[:, :, None], domain))
    # Further factors take a part of it, so only sign and size are told.
    assert 0.4 * abs(skew) - 0.02 < found.skew.value * (np.sign(skew) or 1.0)
    assert abs(found.skew.value) < abs(skew) + 0.03
    assert found.skew.error < 0.03
    pool = np.tril_indices(5, -1)
    for d in range(2):
        here = scores[domain == d]
        loadings = found.shared.loadings[d]
        z = skewed_probit(found.accuracy[:, d], loadings[:, 0], found.skew.value)
        delta = skewed(generator.standard_normal((200_000, 1)), found.skew.value)
        rest = np.sqrt(1.0 - (loadings**2).sum(axis=1))
        lack = delta * loadings[:, 0] + rest * generator.standard_normal((200_000, 5))
        others = loadings[:, 1:]
        lack = lack + generator.standard_normal((200_000, others.shape[1])) @ others.T
        made = (lack < z).astype(float)
        np.testing.assert_allclose(made.mean(axis=0), here.mean(axis=0), atol=0.01)
        together = made.T @ made / len(made) - here.T @ here / len(here)
        np.testing.assert_allclose(together[pool], 0.0, atol=0.015)
        # The oracle was not used.
        assert made.max(axis=1).mean() == pytest.approx(here.max(axis=1).mean(), abs=0.012)


# --- what else a table tells ---------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.1, 0.5, 0.9])
def test_repeated_attempts_give_the_share_that_persists(kappa: float) -> None:
    scores, domain = known_world(20_000, attempts=2, kappa=kappa)
    shared = (LOADINGS * np.sqrt(SHARED)[:, None]) ** 2
    found = fit_kappa(scores, domain, shared)
    assert found is not None
    assert found.value == pytest.approx(kappa, abs=0.05)
    assert found.low <= found.value <= found.high
    assert fit_kappa(scores[:, :, :1], domain, shared) is None


def text_world(share: float, queries: int = 6000) -> tuple[Any, Any, Any]:
    """Scores, domains and ten features of which the first tells this share of difficulty."""
    generator = np.random.default_rng(11)
    domain = np.arange(queries) % 2
    features = generator.standard_normal((queries, 10))
    delta = np.sqrt(share) * features[:, 0]
    delta += np.sqrt(1 - share) * generator.standard_normal(queries)
    strength = LOADINGS * np.sqrt(SHARED[domain])[:, None]
    lack = strength * delta[:, None]
    lack += np.sqrt(1 - strength**2) * generator.standard_normal((queries, 5))
    return (lack < BORDERS[domain]).astype(float), domain, features


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_what_text_tells_about_difficulty_is_recovered(share: float) -> None:
    scores, domain, features = text_world(share)
    fitted = fit_outcomes(table(scores[:, :, None], domain, features=features))
    assert fitted.text.r2_delta == pytest.approx(share, abs=max(0.02, 0.15 * share))
    if share:
        assert fitted.text.delta is not None
        assert int(np.abs(fitted.text.delta.weights).argmax()) == 0
        assert fitted.text.delta.weights[0] > 0, "larger is harder"


def test_a_table_whose_text_tells_of_workers_alone_gives_a_pool_that_can_be_played(
    own_table: Path,
) -> None:
    from conductor_gym.leaderboard.fidelity import simulated_calls
    from conductor_gym.workers.fitted_pool import fitted_pool
    from conductor_gym.workers.text_fit import TextFit, TextFunction

    source = find_source(str(own_table))
    pool, fitted = fit_source(source, "train", "own")
    assert pool.fitted_on is not None
    function = TextFunction(np.linspace(-1.0, 1.0, 40), np.zeros(2))
    text = TextFit(0.0, 0.01, 0.1, 0.01, None, (function,) * 5)
    made = fitted_pool("own", source.pool, ("d0", "d1"), fitted._replace(text=text), pool.fitted_on)
    assert made.text is not None
    assert made.text.delta is None
    assert simulated_calls(made, source.split("test"), 100).quality.shape[1] == 5


def test_posterior_difficulty_rises_with_wrong_answers() -> None:
    loadings = np.tile((LOADINGS * np.sqrt(SHARED)[:, None])[:, :, None], (1, 1, 1))
    scores = np.tril(np.ones((6, 5)), -1)  # row k: the first k workers right
    told = posterior(scores, np.zeros(6, np.int64), BORDERS.T, loadings)
    assert (np.diff(told.difficulty) < 0).all()
    assert fit_text(np.zeros((6, 3)), np.zeros(6, np.int64), 1, told).delta is None


@pytest.mark.parametrize("tail", [0, 3])
def test_coinciding_wrong_answers_give_the_share_of_the_common_one(tail: int) -> None:
    generator = np.random.default_rng(2)
    n, share = 4000, 0.35
    score = (generator.random((n, 4)) < 0.4).astype(float)
    others = generator.integers(2, 2 + (tail or 10**9), (n, 4))
    answer = np.where(score == 1, 0, np.where(generator.random((n, 4)) < share, 1, others))
    domain = np.zeros(n, np.int64)
    found = fit_attractor(score, answer, domain, 1, np.array([tail]))
    assert found is not None
    assert found[0][0].value == pytest.approx(share, abs=0.06)
    assert found[0][0].low < share < found[0][0].high
    assert fit_attractor(np.ones_like(score), answer, domain, 1, np.array([tail])) is None


def test_tokens_and_latency_come_from_the_table() -> None:
    generator = np.random.default_rng(4)
    domain = np.arange(4000) % 2
    centre = np.array([[200.0, 800.0], [400.0, 100.0]])[domain]
    tokens = centre * np.exp(generator.normal(-0.5 * 0.5**2, 0.5, centre.shape))
    found = fit_tokens(tokens, domain, 2)
    np.testing.assert_allclose(found.means, [[200, 400], [800, 100]], rtol=0.05)
    assert found.sigma == pytest.approx(0.5, abs=0.02)
    seconds = 0.8 * np.exp(generator.normal(0, 0.2, tokens.shape)) + tokens / 50.0
    latency = fit_latency(seconds, tokens)
    np.testing.assert_allclose(latency.tokens_per_second, 50.0, rtol=0.05)
    np.testing.assert_allclose(latency.ttft_seconds, 0.8, rtol=0.1)


# --- what cannot be fitted -----------------------------------------------------------------------

SCORES, DOMAIN = known_world(2000)
CONSTANT = SCORES.copy()
CONSTANT[:, 2] = 1.0


@pytest.mark.parametrize(
    ("scores", "domain", "said"),
    [
        (SCORES[:, :1], DOMAIN, "1 worker; a fit needs at least two"),
        (SCORES[:20], DOMAIN[:20], "20 queries to fit, at least 100"),
        (CONSTANT, DOMAIN, "column 'w2': every one of 2000 scores is 1"),
    ],
    ids=["one worker", "few queries", "constant column"],
)
def test_data_that_cannot_be_fitted_is_refused_by_name(scores: Any, domain: Any, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        fit_outcomes(table(scores, domain))


def test_a_simulated_pool_or_an_unknown_table_cannot_be_fitted() -> None:
    with pytest.raises(ConfigError, match="needs recorded outcomes"):
        find_source("paper")
    with pytest.raises(UnknownNameError, match=r"unknown recording.*path to a table"):
        find_source("no-such-table")


# --- pool files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long table with answers, tokens, seconds and two attempts of every call."""
    path = tmp_path_factory.mktemp("table") / "own.csv"
    scores, domain = known_world(700, attempts=2)
    lines = ["query,domain,text,worker,attempt,score,answer,tokens_in,tokens_out,seconds"]
    for (q, w, k), score in np.ndenumerate(scores):
        answer = "right" if score else f"wrong {(q + w) % 2}"
        tokens = 100 + 10 * w + q % 7
        lines.append(
            f'q{q},d{domain[q]},"question {q}, with {"words " * (q % 5)}",w{w},{k},{score:g},'
            f"{answer},50,{tokens},{0.5 + tokens / 100:g}"
        )
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_everything_a_table_tells_is_in_the_pool_and_the_rest_says_assumed(
    own_table: Path, tmp_path: Path
) -> None:
    source = find_source(str(own_table))
    fitted, _ = fit_source(source, "train", "own")
    write_pool(fitted, tmp_path / "own.toml")
    pool = load_pool(str(tmp_path / "own.toml"))
    assert pool == fitted
    assert pool.fitted_on is not None
    assert (pool.fitted_on.table, pool.fitted_on.split) == (str(own_table), "train")
    assert pool.accuracy is not None
    assert pool.loadings is not None
    assert pool.model is not None
    assert pool.accuracy.source == pool.loadings.source == "fitted"
    assert set(pool.accuracy.standard_errors) == set(pool.worker_names)
    assert pool.model.kappa.source == pool.model.token_sigma.source == "fitted"
    assert pool.domains["d0"].attractor.source == "fitted"
    assert pool.model.verify_slope.source == pool.model.revise_critique.source == "assumed"
    assert pool.workers[0].tokens_per_second == pytest.approx(100.0, rel=0.05)


def test_a_fitted_pool_runs_multi_call_episodes_on_the_queries_of_its_table(
    own_table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    write_pool(fit_source(find_source(str(own_table)), "train", "own")[0], path)
    config = EnvConfig(pool=str(path), suite=str(own_table), split="test", cost_weight=0.0)
    engine = Engine(config, 200)
    slots = np.arange(200, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(slots, np.zeros_like(slots), slots, observation)
    for action in ([0, 0, 0], [1, 2, 3], [1, 3, 3], [0, 7, 0]):
        engine.step(np.tile(np.array(action), (200, 1)), observation)
    assert (engine.episodes["over"] == 1).all()
    assert 0.4 < engine.episodes["quality"].mean() < 1.0


def test_chosen_workers_alone_are_fitted_in_the_order_of_the_table(own_table: Path) -> None:
    source = find_source(str(own_table), ("w3", "w1"))
    pool, _ = fit_source(source, "train", "two")
    assert set(pool.worker_names) == {"w1", "w3"}
    with pytest.raises(DataFileError, match="unknown worker 'w9'"):
        find_source(str(own_table), ("w1", "w9"))


def test_the_simulated_accuracies_and_correlations_are_the_fitted_ones(own_table: Path) -> None:
    from conductor_gym.leaderboard.fidelity import simulated_calls

    source = find_source(str(own_table))
    pool, fitted = fit_source(source, "train", "own")
    made = simulated_calls(pool, source.split("train"))
    for d in range(2):
        here = made.quality[made.domain == d]
        np.testing.assert_allclose(here.mean(axis=0), fitted.accuracy[:, d], atol=0.01)
        rows, columns = np.tril_indices(5, -1)
        z = np.asarray(ndtri(fitted.accuracy[:, d]))
        expected = both_below(z[rows], z[columns], reproduced(fitted)[d])
        together = (here.T @ here / len(here))[rows, columns]
        np.testing.assert_allclose(together, expected, atol=0.01)
