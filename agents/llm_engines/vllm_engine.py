"""A model in this process through vLLM, in an environment that has it. Imported late."""

import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
# Its processes start afresh: on a CPU it looks through all modules, and trips over numba's.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")

from conductor_gym.agents.llm_engines.adapter import ADAPTER_CONFIG, adapter_kind
from conductor_gym.agents.llm_engines.protocol import Chat, Reply
from conductor_gym.agents.llm_engines.templates import encode_chat
from conductor_gym.errors import ConfigError, DataFileError, one_line
from conductor_gym.language.grammar import Grammar

vllm: Any = import_module("vllm")  # no package of this environment, so none that has types


class VLLMEngine:
    """Answers thousands of chats at once; vLLM keeps what they have in common.

    Args:
        base: Folder of a model in Hugging Face's form, or its name on the hub.
        adapter: Folder of a LoRA adapter.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"auto"``.
        temperature: 0 takes the likeliest token always.
        top_p: Share of probability to sample from.
        seed: Of the draws.
        length: Tokens of chat and reply together.

    Raises:
        ConfigError: A model that vLLM cannot load, or one that is not for chat.
        DataFileError: A broken adapter.

    Attributes:
        model: The `vllm.LLM`.
        lora: Request that names the adapter, None without one.
    """

    def __init__(
        self,
        base: str,
        adapter: Path | None = None,
        dtype: str = "auto",
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        length: int = 2048,
    ) -> None:
        torch: Any = import_module("torch")
        more: dict[str, Any] = {}
        self.lora: Any = None
        if adapter is not None:
            more = {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(adapter)}
            requests: Any = import_module("vllm.lora.request")
            self.lora = requests.LoRARequest("conductor", 1, str(adapter))
        try:
            self.model: Any = vllm.LLM(
                model=base,
                dtype=dtype,
                seed=seed,
                max_model_len=length,
                trust_remote_code=False,
                disable_log_stats=True,
                enforce_eager=not torch.cuda.is_available(),  # compiled, a CPU begins minutes later
                **more,
            )
        except Exception as error:  # vLLM raises whatever its parts raise
            raise ConfigError(f"vLLM cannot load model {base!r}: {one_line(error)}") from None
        self._tokenizer: Any = self.model.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise ConfigError(f"model {base!r} has no chat template: give one tuned for chat.")
        self._heat = {"temperature": temperature, "top_p": top_p, "seed": seed}

    def count(self, chat: Chat) -> int:
        """See `LanguageEngine.count`."""
        return len(encode_chat(self._tokenizer, chat))

    def reply(
        self, chats: Sequence[Chat], grammars: Sequence[Grammar] | None, most: int
    ) -> list[Reply]:
        """See `LanguageEngine.reply`."""
        if not chats:
            return []
        prompts = [{"prompt_token_ids": encode_chat(self._tokenizer, chat)} for chat in chats]
        sampling = self.sampling(grammars, most, len(chats))
        made = self.model.generate(prompts, sampling, use_tqdm=False, lora_request=self.lora)
        return [
            Reply(
                one.outputs[0].text,
                len(one.prompt_token_ids or ()),
                len(one.outputs[0].token_ids),
            )
            for one in made
        ]

    def sampling(self, grammars: Sequence[Grammar] | None, most: int, n: int) -> list[Any]:
        """VLLM's parameters of each of n requests."""
        if grammars is None:
            return [vllm.SamplingParams(max_tokens=most, **self._heat)] * n
        structured: Any = import_module("vllm.sampling_params").StructuredOutputsParams
        shared: dict[str, Any] = {}  # of equal grammars, of which there are few
        for grammar in grammars:
            regex = grammar.regex()
            if regex not in shared:
                shared[regex] = vllm.SamplingParams(
                    max_tokens=max(most, 96),
                    structured_outputs=structured(regex=regex),
                    **self._heat,
                )
        return [shared[grammar.regex()] for grammar in grammars]

    def close(self) -> None:
        """See `LanguageEngine.close`."""
        self.model = None


def _rank(adapter: Path) -> int:
    """Rank of a LoRA adapter, as vLLM must know it before."""
    kind = adapter_kind(adapter)
    if kind != "LORA":
        raise DataFileError(f"{adapter}/{ADAPTER_CONFIG}: adapters are LORA here, not {kind!r}.")
    rank: object = json.loads((adapter / ADAPTER_CONFIG).read_text()).get("r")
    if not isinstance(rank, int) or rank < 1:
        raise DataFileError(f"{adapter}/{ADAPTER_CONFIG}: no rank r.")
    return next(known for known in (8, 16, 32, 64, 128, 256, 320, 512) if known >= rank)
