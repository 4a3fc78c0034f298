"""What training an LLM conductor takes of each GPU's memory, counted before a GPU is rented.

python -m conductor_gym.agents.llm_memory   the table of docs/llm-training.md

Weights are counted on the real model built on the meta device, which holds shapes and no numbers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conductor_gym.agents.llm_config import CONFIGS, LlmConfig, load_llm_config
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError

QWEN_7B = CONFIGS / "model-qwen2.5-7b-instruct.json"
"""Architecture of Qwen/Qwen2.5-7B-Instruct: the values of its published config.json."""
PLANNED = ("qwen7b-lora-1gpu", "qwen7b-lora-2gpu", "qwen7b-full-8gpu")
PROMPT_TOKENS = 1024
GPU_BYTES = 79 * 2**30
"""Of an H100 or A100 that is sold as 80 GB."""
CUDA_BYTES = 2 * 2**30
"""Context, kernels, communication, fragments; `assumed`."""
VLLM_BYTES = 2 * 2**30
"""Of vLLM's share: its own activations and graphs; `assumed`."""
BACKWARD = 1.5
"""Peak of a layer's backward pass over what its forward pass keeps; `assumed`."""
HALF, FULL = 2, 4
"""Bytes of a number in bfloat16 and in float32."""
LM_HEAD_TILE = 4096 * 32768
"""Logits that TRL's fused LM head holds at once (trl.kernels.chunked_logprob)."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder with gated MLPs, as Qwen2's and Llama's.

    Attributes:
        parameters: Of the whole model.
        linear: Sum of inputs and outputs over all linear layers of the blocks.
        hidden: Width.
        intermediate: Width of the MLPs.
        kv: Keys of one token in one layer, and as many values.
        heads: Attention heads.
        layers: Blocks.
        vocabulary: Rows of the LM head.
    """

    parameters: int
    linear: int
    hidden: int
    intermediate: int
    kv: int
    heads: int
    layers: int
    vocabulary: int

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of adapters on every linear layer of the blocks."""
        return rank * self.linear

    def cache_bytes(self) -> int:
        """Bytes of one token in a key-value cache of bfloat16."""
        return 2 * HALF * self.kv * self.layers

    def layer_bytes(self, rank: int | None) -> int:
        """Bytes that one block keeps of each token for its backward pass, in bfloat16.

        Args:
            rank: Of the adapters; None where all weights are trained.
        """
        kept = 8 * self.intermediate + 4 * self.kv + FULL * self.heads + 2 * FULL
        # Frozen layers keep no input, but each adapter keeps its own copy of it.
        return kept + (20 * self.hidden if rank is None else 24 * self.hidden + 7 * HALF * rank)


@dataclass(frozen=True)
class Plan:
    """Bytes on each GPU at the peak of a GRPO step.

    Attributes:
        weights: Of the trained model, adapters included.
        gradients: Of what is trained, with the buckets in which they are summed over GPUs.
        optimizer: AdamW's two moments, and DeepSpeed's float32 weights.
        gathered: What DeepSpeed gathers from other GPUs at once.
        activations: Inputs of every block, and one block's backward pass.
        head: LM head: a tile of logits, and its float32 gradients.
        vllm: vLLM's share in colocate mode.
        cache: Of it, what is left for keys and values.
        cache_needed: Keys and values of all rollouts at full length at once, a group's prompt once.
    """

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    head: int
    vllm: int
    cache: int
    cache_needed: int

    @property
    def training(self) -> int:
        """Everything but vLLM."""
        held = self.weights + self.gradients + self.optimizer + self.gathered
        return held + self.activations + self.head + CUDA_BYTES

    @property
    def total(self) -> int:
        """Everything."""
        return self.training + self.vllm


def model_shape(path: Path = QWEN_7B) -> Shape:
    """Sizes of an architecture.

    Args:
        path: A model's config.json.

    Raises:
        MissingExtraError: Without torch and transformers.
        DataFileError: Not a configuration that transformers can build.
    """
    try:
        import torch
        import transformers
    except ImportError:
        raise MissingExtraError("The memory plan of a model", "llm") from None
    library: Any = transformers
    try:
        config = library.AutoConfig.from_pretrained(str(path))
        with torch.device("meta"):
            model = library.AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: no model can be built from it: {error}") from None
    blocks = model.model.layers
    linear = (m for m in blocks.modules() if isinstance(m, torch.nn.Linear))
    attention = blocks[0].self_attn
    return Shape(
        parameters=sum(p.numel() for p in model.parameters()),
        linear=sum(m.in_features + m.out_features for m in linear),
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        kv=attention.k_proj.out_features,
        heads=config.num_attention_heads,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
    )


def memory_plan(shape: Shape, config: LlmConfig, gpu_bytes: int = GPU_BYTES) -> Plan:
    """Memory of each GPU at the peak of a GRPO step of a configuration in bfloat16.

    Args:
        shape: The model.
        config: How it is trained, with a GRPO stage.
        gpu_bytes: Memory of a GPU.

    Raises:
        ConfigError: No GRPO stage, no GPU, or a dtype other than bfloat16.
    """
    grpo = config.grpo
    if grpo is None or config.devices == 0 or config.dtype != "bfloat16":
        raise ConfigError(
            f"a memory plan is of GRPO on GPUs in bfloat16, got devices = {config.devices}, "
            f"dtype = {config.dtype!r}{'' if grpo else ', no [grpo]'}. Take one of: "
            f"{', '.join(PLANNED)}."
        )
    gpus, stage, zero = config.devices, 0, _zero(config)
    if zero:
        stage = int(zero["stage"])
    rank = None if config.lora is None else config.lora.rank
    adapters = 0 if rank is None else shape.adapter_parameters(rank)
    trained = adapters or shape.parameters
    # PEFT keeps adapters in float32; all weights are in float32 unless DeepSpeed keeps that copy.
    number = FULL if adapters or not stage else HALF
    gradients = trained * number // (gpus if stage >= 2 else 1)
    if gpus > 1 and stage == 0:
        gradients *= 2  # DistributedDataParallel's buckets
    moments = 2 * trained * (FULL if stage else number)
    master = trained * FULL if stage and number == HALF else 0
    tokens = grpo.device_batch * (PROMPT_TOKENS + grpo.max_tokens)
    kept = shape.layers * shape.hidden * HALF if config.gradient_checkpointing else 0
    layers = 1 if config.gradient_checkpointing else shape.layers
    head = HALF * LM_HEAD_TILE + FULL * grpo.device_batch * grpo.max_tokens * shape.hidden
    if not adapters:
        head += (FULL + HALF) * shape.vocabulary * shape.hidden
    half = shape.parameters * HALF
    weights = half if adapters else shape.parameters * number
    share = cache = needed = 0
    if grpo.engine == "vllm-colocate":
        span = grpo.vllm_tensor_parallel
        share = int(grpo.vllm_memory * gpu_bytes)
        cache = share - half // span - VLLM_BYTES
        # A GPU's rollouts are of few groups, or of a part of one.
        rollouts = grpo.device_batch * grpo.accumulation
        prompts = -(-rollouts // grpo.group_size)
        told = prompts * PROMPT_TOKENS + rollouts * grpo.max_tokens
        needed = told * shape.cache_bytes()
    return Plan(
        weights=weights // (gpus if stage == 3 else 1) + adapters * number,
        gradients=gradients,
        optimizer=(moments + master) // (gpus if stage else 1),
        gathered=_gathered(zero),
        activations=tokens * (kept + int(BACKWARD * layers * shape.layer_bytes(rank))),
        head=head,
        vllm=share,
        cache=cache,
        cache_needed=needed,
    )


def _zero(config: LlmConfig) -> dict[str, Any]:
    """DeepSpeed's settings of its optimizer; none without DeepSpeed."""
    if config.deepspeed is None:
        return {}
    given = json.loads((CONFIGS / config.deepspeed).read_text(encoding="utf-8"))
    return given["zero_optimization"]


def _gathered(zero: dict[str, Any]) -> int:
    if not zero:
        return 0
    if zero["stage"] == 3:
        numbers = zero["stage3_max_live_parameters"] + zero["stage3_prefetch_bucket_size"]
        return HALF * (numbers + 2 * zero["reduce_bucket_size"])
    return HALF * (zero["allgather_bucket_size"] + 2 * zero["reduce_bucket_size"])


def memory_table() -> str:
    """The plans of the 7B configurations as Markdown, GiB on each GPU."""
    shape = model_shape()
    lines = [
        "| configuration | weights | gradients | optimizer | gathered | activations | LM head "
        "| training | vLLM | total of 79 | cache: there / needed |",
        "| :-- " + "| --: " * 10 + "|",
    ]
    for name in PLANNED:
        config = load_llm_config(name)
        lines.append(_row(f"`{name}`", memory_plan(shape, config)))
    full = load_llm_config(PLANNED[-1])
    wider = full.model_copy(update={"deepspeed": "deepspeed-zero2.json"})
    lines.append(_row("the same with `deepspeed-zero2.json`", memory_plan(shape, wider)))
    return "\n".join(lines)


def _row(name: str, plan: Plan) -> str:
    parts = (plan.weights, plan.gradients, plan.optimizer, plan.gathered, plan.activations)
    sums = (plan.head, plan.training, plan.vllm, plan.total)
    cells = " | ".join(f"{part / 2**30:.1f}" for part in (*parts, *sums))
    return f"| {name} | {cells} | {plan.cache / 2**30:.1f} / {plan.cache_needed / 2**30:.1f} |"


if __name__ == "__main__":
    print(memory_table())
