"""API keys come from the environment and go nowhere but to their endpoint."""

import os

from conductor_gym.errors import ConfigError
from conductor_gym.workers.endpoint import Endpoint


def api_key(worker: str, endpoint: Endpoint) -> str | None:
    """The key of an endpoint, None where it needs none.

    Raises:
        ConfigError: The variable that should hold it is not set.
    """
    variable = endpoint.api_key_env
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"worker {worker!r} reads its API key from the environment variable {variable}, which "
            f"is not set. Set it (export {variable}=...) or correct api_key_env in the pool's file."
        )
    return key


def without_key(text: str, key: str | None) -> str:
    """A text of the other side that may repeat the key."""
    return text.replace(key, "***") if key else text
