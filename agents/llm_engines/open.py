"""From settings to a loaded engine; imports what the engine needs, and nothing before."""

from functools import lru_cache
from pathlib import Path

from conductor_gym.agents.llm_engines.protocol import LanguageEngine
from conductor_gym.agents.llm_settings import Conductor, LLMSettings
from conductor_gym.errors import ConfigError, MissingExtraError
from conductor_gym.workers.endpoint import Endpoint


def open_engine(conductor: Conductor, seed: int = 0) -> LanguageEngine:
    """The engine of a conductor; the one opened last is kept, for other cost weights.

    Args:
        conductor: What is to be loaded.
        seed: Of the draws.

    Raises:
        ConductorError: It cannot be loaded, or a package is not installed.
    """
    told = conductor.settings.model_copy(update={"language": {}})
    return _opened(told.model_dump_json(), conductor.base, conductor.adapter, seed)


@lru_cache(maxsize=1)
def _opened(settings: str, base: str, adapter: Path | None, seed: int) -> LanguageEngine:
    told = LLMSettings.model_validate_json(settings)
    if told.engine == "transformers":
        return _transformers(told, base, adapter, seed)
    if told.engine == "vllm":
        return _vllm(told, base, adapter, seed)
    return _remote(told, seed)


def _transformers(told: LLMSettings, base: str, adapter: Path | None, seed: int) -> LanguageEngine:
    try:
        from conductor_gym.agents.llm_engines.transformers_engine import TransformersEngine
    except ImportError:
        raise MissingExtraError("a language model in this process", "llm") from None
    dtype = None if told.dtype == "auto" else told.dtype
    return TransformersEngine(base, adapter, dtype, told.temperature, told.top_p, seed, told.batch)


def _vllm(told: LLMSettings, base: str, adapter: Path | None, seed: int) -> LanguageEngine:
    try:
        from conductor_gym.agents.llm_engines.vllm_engine import VLLMEngine
    except ImportError:
        raise ConfigError(
            "engine 'vllm' needs vLLM, which pins other versions than we do and so lives in an "
            "environment of its own: docs/llm.md. Or take engine 'transformers'."
        ) from None
    length = told.max_prompt_tokens + max(told.max_new_tokens, 1024)
    return VLLMEngine(base, adapter, told.dtype, told.temperature, told.top_p, seed, length)


def _remote(told: LLMSettings, seed: int) -> LanguageEngine:
    """A server's or a provider's model; one that may cost money needs prices and a ceiling."""
    price = told.usd_per_m_input + told.usd_per_m_output
    if told.engine == "litellm" and not price:
        raise ConfigError(
            f"model {told.model!r} of a provider has no price: state usd_per_m_input and "
            "usd_per_m_output, USD per million tokens, in the file of settings."
        )
    if price and (told.ceiling_usd is None or told.journal is None):
        raise ConfigError(
            f"model {told.model!r} costs money: state ceiling_usd, most of it, and journal, a "
            ".jsonl file that keeps its replies, so that a run which is stopped pays nothing twice."
        )
    if told.engine == "litellm" and told.decoding == "constrained":
        raise ConfigError(
            "decoding 'constrained' needs engine transformers or vllm, or a vLLM server: set "
            'decoding = "free".'
        )
    if told.engine == "server" and told.base_url is None:
        raise ConfigError("engine 'server' needs base_url, such as http://127.0.0.1:8000/v1.")
    try:
        from conductor_gym.agents.llm_engines.remote_engine import RemoteEngine
    except ImportError:
        raise MissingExtraError(f"engine {told.engine!r}", "live") from None
    endpoint = Endpoint(
        client="openai" if told.engine == "server" else "litellm",
        model=told.model,
        base_url=told.base_url,
        api_key_env=told.api_key_env,
        temperature=told.temperature,
        top_p=told.top_p,
        deadline_s=told.deadline_s,
    )
    return RemoteEngine(
        endpoint,
        told.usd_per_m_input,
        told.usd_per_m_output,
        told.ceiling_usd,
        told.batch,
        seed,
        None if told.journal is None else Path(told.journal).expanduser(),
    )
