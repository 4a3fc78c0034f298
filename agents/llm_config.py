"""How a conductor that is a language model is trained: a TOML file, shipped or one's own."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from conductor_gym.data_files import StrictModel, find_named_toml, load_toml
from conductor_gym.language.options import LanguageOptions

CONFIGS = Path(__file__).with_name("llm_configs")
LESSONS = "lessons"
"""Stands for the teacher that is best on dev in each domain, see `teachers.py`."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0)]


def _options(given: object) -> object:
    """Language options from a section of the file."""
    if not isinstance(given, dict):
        return given
    section: dict[str, Any] = {str(k): v for k, v in given.items()}  # pyright: ignore
    unknown = sorted(set(section) - set(LanguageOptions().as_dict()))
    if unknown:
        known = ", ".join(LanguageOptions().as_dict())
        raise ValueError(f"there is no language option {unknown[0]!r}, known: {known}")
    section["hidden"] = tuple(section.get("hidden", ()))
    return LanguageOptions(**section)


class Lora(StrictModel):
    """Low-rank adapters (PEFT), on every linear layer of the blocks.

    Attributes:
        rank: Of each adapter.
        alpha: Scale: alpha / rank multiplies what the adapter adds.
        dropout: On its input.
    """

    rank: Count = 16
    alpha: Rate = 32.0
    dropout: Share = 0.0


class Optimization(StrictModel):
    """What both stages have.

    Attributes:
        learning_rate: Of AdamW, after the warm-up.
        warmup: Share of the optimizer steps in which the rate rises from 0.
        schedule: How it falls afterwards.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are clipped to it.
        device_batch: Sequences a GPU (or the CPU) computes at once.
        accumulation: Such batches before each optimizer step.
        checkpoint_every: Optimizer steps between checkpoints.
    """

    learning_rate: Rate
    warmup: Share = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    max_grad_norm: Rate = 1.0
    device_batch: Count
    accumulation: Count = 1
    checkpoint_every: Count = 50


class Sft(Optimization):
    """Supervised fine-tuning on traces of good agents; the loss is on the replies alone.

    Attributes:
        teachers: Agents, each of which plays as many episodes; `lessons` is the one that is best on
            dev in each domain.
        episodes: Episodes of the train split in all.
        epochs: Passes over them.
        hide_share: Share of the episodes that hide the query, and as many that hide the answers,
            so that a policy which is later tested without them has met that.
        max_tokens: Of a sequence; longer episodes are left out and counted.
        dev_episodes: Episodes of dev whose loss is watched.
    """

    teachers: Annotated[tuple[str, ...], Field(min_length=1)] = (LESSONS,)
    episodes: Count
    epochs: Count = 1
    hide_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    max_tokens: Count = 1024
    dev_episodes: Count = 64


class Grpo(Optimization):
    """Group-relative policy optimization (TRL) on whole episodes.

    Attributes:
        steps: Optimizer steps.
        groups: Different episodes an optimizer step, over all devices.
        group_size: Rollouts of each.
        iterations: Optimizer steps on the same rollouts.
        reward: ``"utility"``: sum of the rewards, costs and penalties included. ``"paper"``: 0
            where anything was invalid, 0.5 for a wrong answer, 1 for a right one; costs are free.
        temperature: Of sampling.
        top_p: Of sampling.
        reply_tokens: Most tokens of a reply.
        max_tokens: Most tokens of an episode behind its first prompt; what does not fit ends it.
        beta: Weight of the KL term; 0 as in the paper.
        epsilon: Clip range below.
        epsilon_high: Clip range above.
        loss_type: As TRL names it.
        scale_rewards: Whether advantages are divided by a standard deviation, as TRL names it.
        contested: Share of the groups that are drawn by how much outcomes on their task differed
            before; the rest is drawn evenly.
        engine: What generates.
        vllm_memory: Share of a GPU's memory for vLLM, weights included, in colocate mode.
        vllm_tensor_parallel: GPUs a vLLM copy spans, in colocate mode.
        vllm_sleep: Whether vLLM frees its memory while weights are trained, in colocate mode.
        vllm_server: Address of `trl vllm-serve`, in server mode.
    """

    steps: Count
    groups: Count
    group_size: Annotated[int, Field(ge=2)]
    iterations: Count = 1
    reward: Literal["utility", "paper"] = "utility"
    temperature: Rate = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    reply_tokens: Count = 16
    max_tokens: Count = 512
    beta: Annotated[float, Field(ge=0.0)] = 0.0
    epsilon: Rate = 0.2
    epsilon_high: Rate = 0.28
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    contested: Share = 0.5
    engine: Literal["transformers", "vllm-colocate", "vllm-server"] = "transformers"
    vllm_memory: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    vllm_tensor_parallel: Count = 1
    vllm_sleep: bool = False
    vllm_server: str = "http://127.0.0.1:8000"


class LlmConfig(StrictModel):
    """One way to train a conductor: SFT, GRPO, or one after the other.

    Attributes:
        summary: What it is for, in one line.
        devices: GPUs it is meant for; 0: the CPU.
        language: How episodes are told, see `LanguageOptions`.
        cost_weight: Quality points per US cent; left out, one is drawn for each episode.
        lora: Adapters; left out, all weights are trained.
        dtype: Of the weights; `auto` takes bfloat16 where the device multiplies it.
        gradient_checkpointing: Whether activations are computed again to save memory.
        accelerate: File of `accelerate launch --config_file`, beside the configuration.
        deepspeed: DeepSpeed file that the trainers are given, beside the configuration.
        sft: The first stage.
        grpo: The second stage.
    """

    summary: str
    devices: Annotated[int, Field(ge=0)] = 0
    language: Annotated[LanguageOptions, BeforeValidator(_options)] = LanguageOptions()
    cost_weight: float | None = None
    lora: Lora | None = None
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    gradient_checkpointing: bool = False
    accelerate: str | None = None
    deepspeed: str | None = None
    sft: Sft | None = None
    grpo: Grpo | None = None

    @model_validator(mode="after")
    def _check(self) -> "LlmConfig":
        if self.sft is None and self.grpo is None:
            raise ValueError("neither [sft] nor [grpo] is there: nothing would be trained")
        if self.sft is not None and self.language.interface == "workflow":
            raise ValueError(
                "sft: teachers play step by step, so they teach the text interface alone; leave "
                '[sft] out where language.interface is "workflow"'
            )
        if self.grpo is not None:
            batch = self.grpo.device_batch * self.grpo.accumulation * max(1, self.devices)
            asked = self.grpo.groups * self.grpo.group_size
            if batch != asked:
                raise ValueError(
                    f"grpo: groups x group_size is {asked}, but device_batch x accumulation x "
                    f"devices is {batch}: they must be equal"
                )
        return self


def llm_config_path(name: str) -> Path:
    """The file of a shipped configuration, or of a path that ends in `.toml`.

    Raises:
        UnknownNameError: Neither shipped nor a path.
        DataFileError: A path that does not exist.
    """
    return find_named_toml("training configuration", name, CONFIGS)


def load_llm_config(name: str) -> LlmConfig:
    """Read a configuration, see `llm_config_path`.

    Raises:
        DataFileError: Fields that are wrong or missing.
    """
    return load_toml(llm_config_path(name), LlmConfig)
