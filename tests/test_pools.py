"""Shipped pools: every number names its source, and what a map gives is what the files hold."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError, DataFileError, UnknownNameError
from conductor_gym.recordings.recording import load_recording
from conductor_gym.types import Status
from conductor_gym.workers.factors import one_factor
from conductor_gym.workers.mapped_pool import list_maps, load_map, mapped_sections
from conductor_gym.workers.pool import Known, Pool, list_pools, load_pool, resolve
from conductor_gym.workers.tetrachoric import pair_correlations

MAP = load_map("core-v1")
MAPPED = ("frontier", "mixed")
DOMAINS = (
    "arithmetic",
    "algebra",
    "algorithms",
    "logic",
    "graphs",
    "geometry",
    "induction",
    "games",
    "code",
    "instructions",
    "long-context",
)
WORKERS = tuple(dict.fromkeys(name for pool in MAPPED for name in load_pool(pool).worker_names))


def accuracy_of(pool: Pool) -> dict[str, dict[str, float]]:
    assert pool.accuracy is not None
    return pool.accuracy.values


def numbers_in(value: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every section of a dumped pool that has a source, with its place."""
    found: list[tuple[str, dict[str, Any]]] = []
    inner: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        section = cast(dict[str, Any], value)
        if "source" in section:
            found.append((path, section))
        inner = section.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(cast(tuple[object, ...], value))
    for key, held in inner:
        found += numbers_in(held, f"{path}.{key}")
    return found


# --- every shipped pool --------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_pools())
def test_every_shipped_pool_loads_under_its_own_name(name: str):
    assert load_pool(name).name == name


@pytest.mark.parametrize("name", list_pools())
def test_every_number_names_its_source_and_an_assumed_one_says_how_far(name: str):
    sourced = numbers_in(load_pool(name).model_dump(exclude_none=True))
    places = {place for place, _ in sourced}
    for section in ("output_cap", "overhead_tokens"):
        assert f".{section}" in places
    for place, entry in sourced:
        assert entry["source"] in ("published", "recorded", "fitted", "assumed"), place
        if entry["source"] == "assumed":
            assert {"low", "mid", "high"} <= set(entry) or entry.get("note"), place


def test_every_shipped_map_is_assumed_and_says_why():
    assert list_maps() == ["core-v1"]
    for place, entry in numbers_in(MAP.model_dump()):
        assert entry["source"] == "assumed", place
        assert entry["note"], place


# --- the pools of core-v1 ------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAPPED)
def test_a_mapped_pool_holds_what_the_map_gives(name: str):
    pool = load_pool(name)
    given = mapped_sections(MAP, pool.worker_names)
    assert accuracy_of(pool) == given["accuracy"]["values"]
    assert pool.token_means() == given["output_tokens"][0]["values"]
    assert tuple(pool.domains) == DOMAINS
    for domain, card in pool.domains.items():
        assert card.model_dump(exclude_none=True) == given["domains"][domain]
        for worker in pool.worker_names:
            number = pool.failure(worker, domain)
            assert number is not None
            expected = given["format_failure"]["exceptions"][worker][domain]
            assert number.model_dump(exclude={"note"}) == {
                key: value for key, value in expected.items() if key != "note"
            }


def test_a_mapped_accuracy_is_the_mean_of_published_ones():
    published = accuracy_of(load_pool("paper"))["gpt-5"]
    mapped = accuracy_of(load_pool("frontier"))["gpt-5"]
    assert mapped["algebra"] == published["MATH500"] == 0.7445
    assert mapped["games"] == pytest.approx((0.4667 + 0.5750) / 2, abs=1e-4)
    assert mapped["arithmetic"] == pytest.approx(0.6 * 0.7445 + 0.4 * 0.8979, abs=1e-4)


def test_a_smaller_sibling_is_never_better_and_a_wider_gap_is_never_nearer():
    tables = mapped_sections(MAP, (*load_pool("paper").worker_names, *MAP.siblings))
    accuracy = tables["accuracy"]["values"]
    for worker, sibling in MAP.siblings.items():
        for other, second in (*MAP.siblings.items(), (sibling.of, None)):
            if second is None or (second.of == sibling.of and second.gap < sibling.gap):
                for domain in DOMAINS:
                    assert accuracy[worker][domain] < accuracy[other][domain], (worker, other)


def test_a_gap_is_one_of_ability_where_the_format_holds():
    accuracy = mapped_sections(MAP, ("gpt-5", "gpt-5-nano"))["accuracy"]["values"]
    # Algebra is MATH500: 0.7445 with 1 % malformed answers, 0.55 probits down, by hand.
    assert accuracy["gpt-5-nano"]["algebra"] == pytest.approx(0.99 * 0.5520, abs=2e-4)


def test_prices_and_windows_are_the_reference_s():
    cards = {card.name: card for name in MAPPED for card in load_pool(name).workers}
    stated = {
        "gpt-5": (1.25, 10, 400_000),
        "gpt-5-mini": (0.25, 2, 400_000),
        "gpt-5-nano": (0.05, 0.40, 400_000),
        "claude-haiku-4.5": (1, 5, 200_000),
        "gemini-2.5-flash": (0.30, 2.50, 1_048_576),
        "gemini-2.5-flash-lite": (0.10, 0.40, 1_048_576),
    }
    for name, figures in stated.items():
        card = cards[name]
        assert (card.usd_per_m_input, card.usd_per_m_output, card.window) == figures


def reference(repository: Path, name: str) -> dict[str, dict[str, str]]:
    path = repository.parent / "shared" / "reference" / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"no reference figures at {path}")
    with path.open(encoding="utf-8") as file:
        return {row["worker"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", MAPPED)
def test_published_cards_hold_the_reference_tables_rows(repository: Path, name: str):
    prices = reference(repository, "worker_prices")
    speeds = reference(repository, "worker_latency")
    for card in load_pool(name).workers:
        price, speed = prices.get(card.name), speeds.get(card.name)
        if card.source == "published":
            assert price is not None
            assert speed is not None
            assert "placeholder" not in speed["note"], card.name
        if price is not None:
            assert card.usd_per_m_input == float(price["usd_per_m_input"])
            assert card.usd_per_m_output == float(price["usd_per_m_output"])
            assert card.window == int(price["context_window_tokens"])
        if speed is not None:
            assert card.tokens_per_second == float(speed["tokens_per_second"])
            assert card.ttft_seconds == float(speed["ttft_seconds"])
            assert card.ttft_sigma == float(speed["ttft_lognormal_sigma"])


def test_a_worker_is_the_same_in_both_pools():
    one, other = (load_pool(name) for name in MAPPED)
    cards = {card.name: card for card in one.workers}
    shared = [card for card in other.workers if card.name in cards]
    assert len(shared) == 4
    for card in shared:
        assert card == cards[card.name]
    assert one.domains == other.domains
    assert one.model == other.model


def test_what_acting_on_answers_is_worth_is_the_paper_pool_s():
    told = {"r2_delta", "r2_eta"}
    paper = load_pool("paper").model
    assert paper is not None
    for name in MAPPED:
        model = load_pool(name).model
        assert model is not None
        assert model.model_dump(exclude=told) == paper.model_dump(exclude=told)
        for number in told:
            same = getattr(paper, number).model_dump(exclude={"note"})
            assert getattr(model, number).model_dump(exclude={"note"}) == same


@pytest.mark.parametrize("name", MAPPED)
def test_nothing_but_cards_is_said_to_be_more_than_assumed(name: str):
    pool = load_pool(name)
    for place, entry in numbers_in(pool.model_dump(exclude={"workers"}, exclude_none=True)):
        assert entry["source"] == "assumed", place
    for card in pool.domains.values():
        assert not isinstance(card.rho, Known)
        assert card.rho.low > card.rho.mid > card.rho.high, "a high rho helps acting least"


# --- played --------------------------------------------------------------------------------------


@pytest.mark.parametrize("assumptions", ["low", "mid", "high"])
@pytest.mark.parametrize("name", MAPPED)
def test_simulated_workers_are_as_good_and_as_wordy_as_the_file_says(
    name: str, assumptions: Any, tmp_path: Path, run_batch: Any
):
    n = 10_000 * len(DOMAINS)
    suite = tmp_path / "wordless.toml"
    cards = "".join(
        f'[[statistical.domains]]\nname = "{d}"\nprompt_tokens = 150\nsource = "assumed"\n'
        for d in DOMAINS
    )
    suite.write_text(
        'name = "wordless"\nversion = 1\ntitle = "domains without text"\n[statistical]\n'
        f"sizes = {{ train = {n} }}\nprompt_tokens_sigma = 0.4\n{cards}",
        encoding="utf-8",
    )
    pool = load_pool(name)
    config = EnvConfig(
        pool=name, suite=str(suite), cost_weight=0.0, budget_usd=10.0, assumptions=assumptions
    )
    engine = run_batch(config, np.arange(n), [(w, 0, 0) for w in range(len(pool.workers))])
    data, steps, means = engine.world.data, engine.state.steps, pool.token_means()
    domain_of = data.queries["domain"][engine.episodes["query"]]
    assert data.domains == DOMAINS
    for d, domain in enumerate(DOMAINS):
        here = steps[domain_of == d]
        assert len(here) == n // len(DOMAINS)
        for w, worker in enumerate(pool.worker_names):
            number = pool.failure(worker, domain)
            assert number is not None
            p, f = accuracy_of(pool)[worker][domain], resolve(number, assumptions)
            malformed = (here["status"][:, w] == Status.MALFORMED).mean()
            for found, share in ((here["score"][:, w].mean(), p), (malformed, f)):
                error = (share * (1.0 - share) / len(here)) ** 0.5
                assert found == pytest.approx(share, abs=4.0 * error), (worker, domain)
            length = here["tokens_out"][:, w].mean()
            assert length == pytest.approx(means[worker][domain], rel=0.02), (worker, domain)


# --- a map of one's own --------------------------------------------------------------------------


def test_a_map_names_what_it_does_not_know(edited: Any):
    core = "workers/pools/maps/core-v1.toml"
    with pytest.raises(UnknownNameError, match="Did you mean 'core-v1'"):
        load_map("core-v2")
    with pytest.raises(UnknownNameError, match=r"gpt-6.*siblings\.NAME"):
        mapped_sections(MAP, ("gpt-6",))
    with pytest.raises(DataFileError, match=r"weights sum to 1\.1, not to 1"):
        load_map(edited(core, ('"MMLU" = 0.4', '"MMLU" = 0.5')))
    with pytest.raises(UnknownNameError, match="unknown benchmark 'MMLO'"):
        mapped_sections(load_map(edited(core, ('"MMLU" = 0.4', '"MMLO" = 0.4'))), ("gpt-5",))
    with pytest.raises(UnknownNameError, match="unknown worker 'gpt-7'"):
        mapped_sections(load_map(edited(core, ('of = "gpt-5"', 'of = "gpt-7"'))), ("gpt-5-mini",))
    with pytest.raises(ConfigError, match="'gsm8k' is recorded"):
        mapped_sections(load_map(edited(core, ('"paper"', '"gsm8k"'))), ("gpt-5",))


def test_the_map_is_shown_as_it_is(repository: Path):
    for file in ("docs/pools.md", "workers/pools/maps/core-v1.toml"):
        text = (repository / file).read_text(encoding="utf-8")
        for domain, mapped in MAP.domains.items():
            mixture = " + ".join(f"{w:g} {b}" for b, w in mapped.weights.items())
            row = rf"\| {domain} +\| {re.escape(mixture.removeprefix('1 '))} +\|"
            assert re.search(row, text), (file, domain)


def test_docs_show_how_to_recompute(repository: Path, capsys: pytest.CaptureFixture[str]):
    page = (repository / "docs" / "pools.md").read_text(encoding="utf-8")
    (code,) = (part.split("```")[0] for part in page.split("```python\n")[1:])
    exec(compile(code, "docs/pools.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "[accuracy.values.gpt-5-mini]" in printed
    assert f"algebra = {accuracy_of(load_pool('frontier'))['gpt-5-mini']['algebra']}" in printed


# --- why there are no family factors -------------------------------------------------------------


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("recording", "expected"), [("zeroeval_gsm", 0.01), ("zeroeval_crux", 0.03)]
)
def test_recorded_siblings_share_little_beyond_the_common_difficulty(
    recorded_folder: Path, recording: str, expected: float
):
    assert recorded_folder
    table = load_recording(recording)
    rows = table.complete_for(table.outcomes.workers)
    scores = table.outcomes.score[rows][:, :, 0]
    pairs = pair_correlations(scores, np.zeros(len(rows), np.int64), 1)
    loadings, scales = one_factor(pairs, scores.shape[1], 1)
    beyond = pairs.correlation - loadings[pairs.first] * loadings[pairs.second] * scales[0]
    excess: list[float] = []
    for elder, younger in (
        ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"),
        ("claude-3-opus-20240229", "claude-3-haiku-20240307"),
        ("claude-3-opus-20240229", "claude-3-sonnet-20240229"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022"),
        ("gemini-1.5-pro", "gemini-1.5-flash"),
        ("Meta-Llama-3.1-70B-Instruct", "Meta-Llama-3.1-8B-Instruct"),
    ):
        i, j = sorted((table.column(elder), table.column(younger)))
        (value,) = beyond[(pairs.first == j) & (pairs.second == i)]
        excess.append(float(value))
    assert np.mean(excess) == pytest.approx(expected, abs=0.01)
    assert -0.05 < min(excess) < 0.0 < max(excess) < 0.1
