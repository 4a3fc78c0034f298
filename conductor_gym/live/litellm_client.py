"""Calls to every provider that LiteLLM knows. Importing this takes seconds: import it late."""

import asyncio
import json
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any, cast

from conductor_gym.errors import ConfigError
from conductor_gym.live.keys import likely_secrets, without_keys
from conductor_gym.live.messages import CallError, ChatRequest, Completion
from conductor_gym.live.openai_replies import failure, read_reply, short
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

# Prices from the package, not from the network; keys from the environment, not from .env files.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

import litellm as _typed

# Its own types are incomplete.
litellm = cast(Any, _typed)

_UNREADABLE = ("Empty or invalid response", "Unterminated string", "Expecting value")


class LiteLLMClient:
    """One worker behind LiteLLM. Its own retries, callbacks, prints and telemetry are off.

    Parameters that a provider is known not to take, such as a temperature for a model that thinks,
    are left out by LiteLLM. For one event loop.
    """

    def __init__(self, worker: str, endpoint: Endpoint, key: str | None = None) -> None:
        """Prepare; nothing is sent.

        Args:
            worker: The worker's uid, for messages.
            endpoint: `model` as LiteLLM writes it, such as ``anthropic/claude-sonnet-4-5``.
            key: API key; None: LiteLLM looks for the provider's own variable.

        Raises:
            ConfigError: LiteLLM does not know the provider.
        """
        _be_quiet()
        self._worker = worker
        self._endpoint = endpoint
        self._key = key
        self._secrets = likely_secrets(key)
        try:
            litellm.get_llm_provider(endpoint.model, api_base=endpoint.base_url)
        except Exception:
            raise ConfigError(
                f"worker {worker!r}: LiteLLM knows no provider of {endpoint.model!r}. Write "
                "`model` as PROVIDER/MODEL, such as openai/gpt-5 or anthropic/claude-sonnet-4-5."
            ) from None

    async def send(self, request: ChatRequest, timeout_s: float) -> Completion:
        """See `Client.send`."""
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._complete(request)
        except TimeoutError:
            raise CallError(Status.TIMEOUT, f"no reply within {timeout_s:.3g} s") from None
        except litellm.exceptions.Timeout:
            raise CallError(Status.TIMEOUT, "the provider gave up") from None
        except Exception as error:
            raise self._failure(error) from None
        text = without_keys(json.dumps(reply), self._secrets)
        model = request.model.partition("/")[2] or request.model
        return read_reply(json.loads(text), model, (request.model, *self._endpoint.answers_as))

    async def preflight(self) -> None:
        """Look whether the key that the provider needs is there; nothing is sent.

        Raises:
            ConfigError: It is not.
        """
        if self._key is not None or self._endpoint.base_url is not None:
            return
        found: Mapping[str, Any] = litellm.validate_environment(self._endpoint.model)
        missing = cast(list[str], found.get("missing_keys") or [])
        if not found.get("keys_in_environment") and missing:
            raise ConfigError(
                f"worker {self._worker!r} ({self._endpoint.model}) needs {', '.join(missing)} in "
                "the environment: set it, or name your own variable as api_key_env."
            )

    async def close(self) -> None:
        """See `Client.close`."""
        await litellm.close_litellm_async_clients()

    async def _complete(self, request: ChatRequest) -> dict[str, Any]:
        reply = await litellm.acompletion(
            model=request.model,
            messages=[{"role": m.role, "content": m.content} for m in request.messages],
            max_tokens=request.max_tokens,
            api_base=self._endpoint.base_url,
            api_key=self._key,
            # LiteLLM keeps one connection pool for each timeout, so it gets always the same.
            timeout=self._endpoint.deadline_s,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            extra_headers={"Idempotency-Key": request.key},
            **request.settings,
        )
        return reply.model_dump(warnings=False)

    def _failure(self, error: Exception) -> CallError | ConfigError:
        """LiteLLM's exceptions in the environment's words."""
        said = short(without_keys(str(error), self._secrets))
        kinds = litellm.exceptions
        if isinstance(error, kinds.ContextWindowExceededError):
            return CallError(Status.OVERFLOW, said)
        if isinstance(error, kinds.ContentPolicyViolationError):
            return CallError(Status.REFUSED, said)
        if isinstance(error, ImportError):
            return ConfigError(f"worker {self._worker!r}: {said}. Install what LiteLLM asks for.")
        status = getattr(error, "status_code", None)
        if not isinstance(status, int) or any(mark in said for mark in _UNREADABLE):
            return CallError(Status.MALFORMED, f"{type(error).__name__}: {said}", retry=True)
        headers = cast(Mapping[str, str], getattr(error, "litellm_response_headers", None) or {})
        where = f"worker {self._worker!r} through LiteLLM"
        return failure(where, self._endpoint, status, headers, said.encode())


def _be_quiet() -> None:
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.turn_off_message_logging = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # On LiteLLM's own types at the first call, and on what it leaves behind when a call is cut off.
    warnings.filterwarnings("ignore", message="Item .* is using the `ReadOnly` qualifier")
    warnings.filterwarnings("ignore", message="coroutine '.*acompletion' was never awaited")
