"""What training an LLM conductor takes of GPU hours, with the arithmetic.

python -m conductor_gym.agents.llm_hours   the table of docs/llm-training.md

Tokens were measured (docs/llm-training.md says how). Rates were not: nothing here ran on a GPU.
"""

from dataclasses import dataclass

from conductor_gym.agents.llm_config import LlmConfig, load_llm_config
from conductor_gym.agents.llm_memory import PLANNED, Shape, model_shape
from conductor_gym.errors import ConfigError

EPISODE_TOKENS = 409
"""Mean of `roles` on core-v1 as the 7B configurations tell it, 1,000 episodes; measured."""
PEAK_FLOPS = 989e12
"""An H100 SXM in bfloat16 without sparsity, as its maker states."""
UTILIZATION = (0.2, 0.3, 0.4)
"""Share of the peak that training reaches: low, mid, high; `assumed`."""
PADDING = 1.3
"""Tokens computed over tokens that count: sequences of a batch differ in length; `assumed`."""
PREFILL = 20_000
"""Prompt tokens a second of vLLM on one GPU; `assumed`."""
TURNS = 10
"""Replies of a batch one after another: the longest episode decides."""
TURN_S = 1.0
"""Of such a round with few rollouts a GPU: scheduling and about 6 tokens of reply; `assumed`."""
SYNC_S = 8.0
"""New weights to vLLM, once an optimizer step; `assumed`."""


@dataclass(frozen=True)
class Hours:
    """Time of a configuration.

    Attributes:
        sft_s: Seconds of the SFT stage.
        generate_s: Seconds of generation in a GRPO step.
        train_s: Seconds of training in a GRPO step.
        step_s: Seconds of a GRPO step in all.
        gpu_hours: Of both stages, on all GPUs together.
    """

    sft_s: float
    generate_s: float
    train_s: float
    step_s: float
    gpu_hours: float


def passes(config: LlmConfig) -> int:
    """Operations a token and parameter of a training step: 2 forward, 2 again, 2 or 4 backward."""
    return 2 + 2 * config.gradient_checkpointing + (2 if config.lora else 4)


def expected_hours(shape: Shape, config: LlmConfig, utilization: float = UTILIZATION[1]) -> Hours:
    """Time that a configuration takes.

    Args:
        shape: The model.
        config: How it is trained, with a GRPO stage.
        utilization: Share of the GPUs' peak that training reaches.

    Raises:
        ConfigError: No GRPO stage, or no GPU.
    """
    grpo, sft = config.grpo, config.sft
    if grpo is None or config.devices == 0:
        raise ConfigError(
            f"expected hours are of GRPO on GPUs, got devices = {config.devices}"
            f"{'' if grpo else ', no [grpo]'}. Take one of: {', '.join(PLANNED)}."
        )
    rate = config.devices * PEAK_FLOPS * utilization / PADDING
    sft_s = 0.0
    if sft is not None:
        tokens = sft.episodes * sft.epochs * EPISODE_TOKENS
        sft_s = tokens * passes(config) * shape.parameters / rate
    tokens = grpo.groups * grpo.group_size * EPISODE_TOKENS
    # 2 more: log-probabilities of the weights that generated, which vLLM's are corrected by.
    train_s = tokens * (passes(config) * grpo.iterations + 2) * shape.parameters / rate
    generate_s = tokens / (PREFILL * config.devices) + TURNS * TURN_S
    step_s = train_s + generate_s + SYNC_S
    hours = config.devices * (sft_s + grpo.steps * step_s) / 3600
    return Hours(sft_s, generate_s, train_s, step_s, hours)


def hours_table() -> str:
    """The 7B configurations as Markdown."""
    shape = model_shape()
    lines = [
        "| configuration | SFT, min | GRPO step: generation, s | training, s | in all, s "
        "| both stages, h | GPU hours | at low / high utilization |",
        "| :-- " + "| --: " * 7 + "|",
    ]
    configs = [(f"`{name}`", load_llm_config(name)) for name in PLANNED]
    full = configs[-1][1]
    if full.grpo is not None:
        wide = {"groups": 4 * full.grpo.groups, "accumulation": 4 * full.grpo.accumulation}
        wider = full.model_copy(update={"grpo": full.grpo.model_copy(update=wide)})
        configs.append((f"the same with {4 * full.grpo.groups} groups a step", wider))
    for name, config in configs:
        low, mid, high = (expected_hours(shape, config, share) for share in UTILIZATION)
        lines.append(
            f"| {name} | {mid.sft_s / 60:.0f} | {mid.generate_s:.0f} | {mid.train_s:.0f} "
            f"| {mid.step_s:.0f} | {mid.gpu_hours / config.devices:.1f} | {mid.gpu_hours:.1f} "
            f"| {low.gpu_hours:.1f} / {high.gpu_hours:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(hours_table())
