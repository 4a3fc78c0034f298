"""Prompts of an LLM conductor fit the tokens that docs/llm-training.md says, on real tasks."""

from typing import Any

import numpy as np
import pytest
from prompt_tokens import BUDGET, TRACKS, Lengths, load_tokenizer, measure
from small_llm import small_llm

from conductor_gym.agents.llm_config import load_llm_config
from conductor_gym.agents.llm_memory import PLANNED, PROMPT_TOKENS
from conductor_gym.language.options import LanguageOptions

EPISODES = 200


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(small_llm())


def played(tokenizer: Any, told: LanguageOptions) -> Lengths:
    """Episodes of `divide`, as many steps as a task has parts and more."""
    return measure(tokenizer, TRACKS[0], "divide", told, EPISODES)


def test_by_default_19_of_20_prompts_fit(tokenizer: Any):
    found = played(tokenizer, LanguageOptions())
    assert np.mean(found.longest > BUDGET) <= 0.05
    assert np.median(found.longest) < BUDGET / 1.9


def test_with_800_characters_of_a_task_every_prompt_fits(tokenizer: Any):
    found = played(tokenizer, LanguageOptions(query_characters=800))
    assert found.longest.max() <= BUDGET


def test_prompts_of_the_7b_configurations_fit_what_memory_is_planned_for(tokenizer: Any):
    configs = [load_llm_config(name) for name in PLANNED]
    assert all(config.language == configs[0].language for config in configs)
    found = played(tokenizer, configs[0].language)
    assert found.first.max() <= PROMPT_TOKENS
    assert np.mean(found.longest > BUDGET) <= 0.01
    for config in configs:
        assert config.grpo is not None
        assert config.sft is not None
        assert (found.whole - found.first).max() <= config.grpo.max_tokens
        assert found.whole.max() <= config.sft.max_tokens
