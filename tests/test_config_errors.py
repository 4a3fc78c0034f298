"""Bad settings and broken files: a typed error that names the place and says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from paper_world import paper_env

from conductor_gym.env import ConductorEnv
from conductor_gym.errors import ConductorError, ConfigError, DataFileError, UnknownNameError

PAPER = "workers/pools/paper.toml"
PAPER_SUITE = "tasks/suites/paper-v1.toml"


def refuse(expected: Any, *parts: str, **settings: Any) -> str:
    """The message of the error that these settings lead to; it must hold all parts."""
    with pytest.raises(expected) as caught:
        paper_env(**settings)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "given", "nearest"),
    [
        ("pool", "papr", "'paper'"),
        ("suite", "paper-v2", "'paper-v1'"),
        ("split", "tests", "'test'"),
        ("assumptions", "middle", "'mid'"),
        ("render_mode", "ansii", "'ansi'"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_and_all_known_ones(
    setting: str, given: str, nearest: str
):
    message = refuse(UnknownNameError, repr(given), "Did you mean", "Known: ", **{setting: given})
    assert f"Did you mean {nearest}" in message


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"cost_weight": -0.1}, ("cost_weight", "[0, 10]", "-0.1")),
        ({"cost_weight": float("nan")}, ("cost_weight", "nan")),
        ({"cost_weight": float("inf")}, ("cost_weight", "inf")),
        ({"latency_weight": 11.0}, ("latency_weight", "[0, 10]")),
        ({"budget_usd": 0.0}, ("budget_usd", "(0, 10]")),
        ({"budget_usd": 11.0}, ("budget_usd", "(0, 10]")),
        ({"budget_usd": float("nan")}, ("budget_usd", "nan")),
        ({"budget_usd": 1e-5}, ("affords no call", "cheapest call may cost", "Raise budget_usd")),
        ({"max_steps": 1}, ("max_steps", "[2, 64]")),
        ({"max_steps": 10.0}, ("max_steps", "whole number")),
        ({"max_steps": True}, ("max_steps", "whole number")),
        ({"max_workers": 6}, ("7 workers", "max_workers=7")),
        ({"max_workers": 0}, ("max_workers", "[1, 64]")),
        ({"pool": "gsm8k"}, ("recorded", "paper-v1")),
        ({"suite": "gsm8k"}, ("says nothing about grade school math", "It knows MATH500")),
        (
            {"pool": "gsm8k", "suite": "gsm8k", "latency_weight": 0.1},
            ("no recorded latencies", "latency_weight must be 0"),
        ),
    ],
    ids=str,
)
def test_settings_that_cannot_work_say_what_can(settings: Any, parts: Any):
    refuse(ConfigError, *parts, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"budget_usd": "a lot"},
        {"cost_weight": "0.1"},
        {"key": None},
        {"pool": None},
        {"split": ["train"]},
    ],
    ids=str,
)
def test_settings_of_a_wrong_type_are_refused_by_name(settings: Any):
    refuse(ConductorError, next(iter(settings)), **settings)


def test_a_pool_or_suite_may_be_given_as_a_path_object(repository: Path):
    env = ConductorEnv(pool=repository / PAPER, suite=repository / PAPER_SUITE)  # pyright: ignore
    assert env.reset(seed=0)[1]["uid"].startswith("paper-v1/")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ((r"usd_per_m_output = 10\n", ""), "workers.0.usd_per_m_output"),
        ((r"usd_per_m_input = 1.25", "usd_per_m_input = -1"), "workers.0.usd_per_m_input"),
        ((r"usd_per_m_input = 1.25", "usd_per_m_input = nan"), "workers.0.usd_per_m_input"),
        ((r"usd_per_m_input = 1.25", "usd_per_m_input = inf"), "workers.0.usd_per_m_input"),
        ((r'"MATH500" = 0.7445', '"MATH500" = 1.7445'), "accuracy.values.gpt-5.MATH500"),
        ((r'"MATH500" = 0.7445', '"MATH500" = nan'), "accuracy.values.gpt-5.MATH500"),
        ((r'"MATH500" = 0.7445', '"MATH500" = "high"'), "accuracy.values.gpt-5.MATH500"),
        ((r'"MATH500" = 0.7445, ', ""), "'gpt-5' lacks MATH500"),
        ((r"window = 400000", "window = 0"), "workers.0.window"),
        ((r"window = 400000", "window = 400000\ncontext = 5"), "workers.0.context"),
        ((r"tokens_per_second = 80\n", ""), "'gpt-5' needs tokens_per_second"),
        ((r'name = "gpt-5"', 'name = "claude-sonnet-4"'), "appears twice: claude-sonnet-4"),
        ((r"constrained/gpt-5", "constrained/qwen3-32b"), "appears twice: paper-constrained/qwen"),
        ((r'name = "gpt-5"', 'name = "gpt-6"'), "gpt-6"),
        ((r'backend = "simulated"', 'backend = "replayed"'), "backend"),
        ((r'backend = "simulated"', 'backend = "live"'), "need a [workers.live] section"),
        ((r'backend = "simulated"', 'backend = "recorded"'), "needs `recording`"),
        ((r"\n\[model\]\n", "\n[modal]\n"), "modal"),
        ((r"kappa = .*\n", ""), "model.kappa"),
        ((r"kappa = \{ low = 0.7, ", "kappa = { "), "model.kappa"),
        ((r"\n\[model\]\n", "\n[model\n"), "not valid TOML"),
        ((r'title = "Seven', "title = Seven"), "not valid TOML"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_broken_pool_file_is_refused_with_the_field_to_repair(
    edited: Callable[..., str], change: Any, place: str
):
    path = edited(PAPER, change)
    refuse(DataFileError, path, place, pool=path)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"output_cap = \{ value = 4096", "output_cap = { value = -5000"),
        (r"output_cap = \{ value = 4096", "output_cap = { value = 0"),
        (r"overhead_tokens = \{ low = 60, mid = 60", "overhead_tokens = { low = 60, mid = -900"),
        (r"kappa = \{ low = 0.7, mid = 0.5", "kappa = { low = 0.7, mid = 1.5"),
        (r"r2_delta = \{ low = 0.13, mid = 0.13", "r2_delta = { low = 0.13, mid = 1.3"),
        (r"default = \{ low = 0.005, mid = 0.02", "default = { low = 0.005, mid = -0.1"),
        (r"default = \{ low = 0.005, mid = 0.02", "default = { low = 0.005, mid = 1.0"),
        (r"default = \{ low = 0.005, mid = 0.02", "default = { low = 0.005, mid = 0.9"),
        (r"rho = \{ value = 0.8957", "rho = { value = 1.5"),
        (r"attractor = \{ low = 0.5, mid = 0.35", "attractor = { low = 0.5, mid = 2"),
        (r"attractor = \{ low = 0.5, mid = 0.35", "attractor = { low = 0.5, mid = -1"),
        (r"revise_same_luck = \{ low = 0.9, mid = 0.8", "revise_same_luck = { low = 0.9, mid = 2"),
        (r"token_sigma = \{ low = 0.4, mid = 0.4", "token_sigma = { low = 0.4, mid = -0.4"),
        (r"usd_per_m_output = 10", "usd_per_m_output = 1e300"),
        (r"window = 400000", "window = 99999999999999999999"),
        (r"tokens_per_second = 80", "tokens_per_second = 1e-30"),
        (r'exceptions."gpt-5"', 'exceptions."gpt-6"'),
    ],
)
def test_a_pool_number_that_no_simulation_can_use_is_refused(
    edited: Callable[..., str], pattern: str, value: str
):
    pool = edited(PAPER, (pattern, value))
    refuse(ConductorError, pool=pool)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ((r"sizes = \{.*\}\n", ""), "statistical.sizes"),
        ((r"train = 8000", "train = 0"), "statistical.sizes.train"),
        ((r"prompt_tokens = 100", "prompt_tokens = -5"), "statistical.domains.0.prompt_tokens"),
        ((r"prompt_tokens = 100", "prompt_tokens = nan"), "statistical.domains.0.prompt_tokens"),
        ((r"version = 1\n", ""), "version"),
        ((r"\[statistical\]", "[statistics]"), "statistics"),
        ((r'name = "paper-v1"', 'name = "paper-v1'), "not valid TOML"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_broken_suite_file_is_refused_with_the_field_to_repair(
    edited: Callable[..., str], change: Any, place: str
):
    path = edited(PAPER_SUITE, change)
    refuse(DataFileError, path, place, suite=path)


def test_a_suite_with_a_domain_that_the_pool_does_not_know_is_refused(edited: Callable[..., str]):
    path = edited(PAPER_SUITE, (r'name = "MMLU"', 'name = "Chess"'))
    refuse(ConfigError, "Chess", "It knows MATH500", suite=path)


@pytest.mark.parametrize("names", [[], ["MMLU", "MMLU"], [f"d{i}" for i in range(30)]], ids=len)
def test_a_suite_with_no_repeated_or_too_many_domains_is_refused(tmp_path: Path, names: list[str]):
    text = 'name = "s"\nversion = 1\ntitle = "t"\n[statistical]\nsizes = { train = 50 }\n'
    text += "prompt_tokens_sigma = 0.4\n" + ("" if names else "domains = []\n")
    for name in names:
        text += f'[[statistical.domains]]\nname = "{name}"\nprompt_tokens = 9\nsource = "assumed"\n'
    path = tmp_path / "suite.toml"
    path.write_text(text, encoding="utf-8")
    # With a pool that knows every name, so that only the suite is at fault.
    refuse(DataFileError, "domains", suite=str(path))


def test_a_file_that_is_not_there_or_not_utf_8_is_refused(tmp_path: Path):
    gone = str(tmp_path / "gone.toml")
    refuse(DataFileError, gone, "does not exist", pool=gone)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "caf\xe9"'.encode("latin-1"))
    refuse(DataFileError, str(latin), "not valid TOML", pool=str(latin))


@pytest.mark.parametrize("live", [False, True])
def test_a_misspelt_setting_is_told_beside_the_one_that_was_meant(live: bool, tmp_path: Path):
    settings: dict[str, Any] = {
        "journal": tmp_path / "calls.jsonl",
        "ceiling_usd": 1.0,
        "pool": "paper",
    }
    name = "ConductorLive-v0" if live else "Conductor-v0"
    with pytest.raises(UnknownNameError, match="Did you mean 'cost_weight'"):
        gym.make(name, cost_wieght=0.1, **(settings if live else {}))
