"""How a live worker is reached: the `live` section of a worker, and limits by provider."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel

_NOT_EXTRA = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "n", "stream"}
    | {"api_key", "api_base", "base_url", "headers", "extra_headers", "timeout"}
)


class Endpoint(StrictModel):
    """Where a worker answers.

    Attributes:
        client: ``"openai"`` for any server with an OpenAI-compatible chat endpoint (vLLM,
            llama.cpp, Ollama), ``"litellm"`` for every provider that LiteLLM knows,
            ``"transformers"`` for a model in this process.
        model: As the endpoint knows it; for ``"transformers"`` a folder or a hub's name.
        base_url: Of the server, such as ``http://127.0.0.1:8000/v1``.
        api_key_env: Environment variable that holds the key. Keys never stand in files.
        answers_as: Names that the endpoint may give itself in a reply besides `model` and longer
            names that begin with it.
        tokenizer: Folder or hub's name of the tokenizer; None: as the client counts.
        temperature: Of sampling.
        top_p: Of sampling.
        deadline_s: Seconds after which a call is a timeout, all its attempts together.
        extra: Further fields of the request, sent as they are.
    """

    client: Literal["openai", "litellm", "transformers"]
    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = None
    api_key_env: str | None = None
    answers_as: tuple[str, ...] = ()
    tokenizer: str | None = None
    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    deadline_s: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0
    extra: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if self.client == "openai" and self.base_url is None:
            raise ValueError("client `openai` needs base_url, such as http://127.0.0.1:8000/v1")
        # The ceiling rests on one answer of at most max_tokens, and requests stand in journals.
        fixed = sorted(_NOT_EXTRA & self.extra.keys())
        if fixed:
            raise ValueError(f"extra must not hold {', '.join(fixed)}: every call has its own")
        return self

    def settings(self) -> dict[str, Any]:
        """What is sent besides model, messages and the limit of output tokens."""
        return {"temperature": self.temperature, "top_p": self.top_p, **self.extra}


class ProviderLimits(StrictModel):
    """What a provider allows, for all its workers together.

    Attributes:
        concurrent: Calls at the same time.
        requests_per_minute: None: no limit.
        tokens_per_minute: Input and output tokens, None: no limit.
    """

    concurrent: Annotated[int, Field(ge=1, le=100_000)] = 64
    requests_per_minute: Annotated[float, Field(gt=0.0)] | None = None
    tokens_per_minute: Annotated[float, Field(gt=0.0)] | None = None
