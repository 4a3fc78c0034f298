"""API keys come from the environment and go nowhere but to their endpoint."""

import os

from conductor_gym.errors import ConfigError
from conductor_gym.workers.endpoint import Endpoint

_SECRET_ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_SHORTEST_SECRET = 8


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
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"worker {worker!r}: the environment variable {variable} holds characters that no API "
            "key has. Set it again."
        )
    return key


def likely_secrets(key: str | None) -> tuple[str, ...]:
    """The key, or whatever in the environment may be one where a library looks for it itself."""
    if key is not None:
        return (key,)
    found = {
        value
        for name, value in os.environ.items()
        if name.upper().endswith(_SECRET_ENDINGS) and len(value) >= _SHORTEST_SECRET
    }
    return tuple(sorted(found, key=len, reverse=True))


def without_keys(text: str, keys: tuple[str, ...]) -> str:
    """What the other side said, without the keys if it repeats one."""
    for key in keys:
        text = text.replace(key, "***")
    return text
