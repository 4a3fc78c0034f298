"""Group-relative policy optimization on whole episodes, through TRL; imported late."""

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import torch
from torch import Tensor
from transformers import TrainerCallback
from trl.models import utils as trl_models
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from conductor_gym.agents.llm_config import Grpo, LlmConfig
from conductor_gym.agents.llm_draw import EpisodeDraw
from conductor_gym.agents.llm_merge import merges_exactly
from conductor_gym.agents.llm_rollouts import RolloutFunction
from conductor_gym.agents.llm_sft import shared_arguments
from conductor_gym.agents.llm_shared import completion_logprobs
from conductor_gym.agents.llm_writers import CachedWriter, VllmWriter
from conductor_gym.config import EnvConfig
from conductor_gym.language.episode_tokens import ChatTokens

_SCORES = "draw.json"
_PROMPT_ROOM = 2048
"""Tokens that vLLM keeps for a first prompt besides those of the episode."""


class ConductorGrpoTrainer(GRPOTrainer):
    """TRL's trainer, which on a CPU reads a group's prompt once and skips logits of the prompt.

    TRL computes logits of all positions where there is no Triton, those of the environment's words
    too, and reads the prompt of a group once a rollout: on a CPU this is most of a step.
    """

    _own: Tensor | None = None
    """Which tokens of the completions at hand are the policy's own, bool."""

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        """Note which tokens count; see `GRPOTrainer`."""
        self._own = inputs["tool_mask"].bool() & inputs["completion_mask"].bool()
        ours: Any = super()
        try:
            return ours._compute_loss(model, inputs)
        finally:
            self._own = None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **more: Any,
    ) -> Any:
        """Log-probabilities and entropies [n, logits_to_keep]; see `GRPOTrainer`."""
        alone = self.accelerator.num_processes == 1 and input_ids.device.type == "cpu"
        if not alone or self.args.gradient_checkpointing:
            ours: Any = super()
            return ours._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size,
                compute_entropy,
                **more,
            )
        own = attention_mask[:, -logits_to_keep:].bool() if self._own is None else self._own
        parts: list[tuple[Tensor, Tensor]] = []
        for first in range(0, len(input_ids), batch_size or len(input_ids)):
            rows = slice(first, first + (batch_size or len(input_ids)))
            with self.accelerator.autocast():
                part = completion_logprobs(
                    model,
                    input_ids[rows],
                    attention_mask[rows],
                    logits_to_keep,
                    self.temperature,
                    own[rows],
                )
            parts.append(part)
        logprobs, entropies = (torch.cat(of) for of in zip(*parts, strict=True))
        return logprobs, entropies if compute_entropy else None, None


def episode_reward(
    prompts: list[str],
    completions: list[str],
    earned: list[float],
    measures: list[dict[str, float]],
    log_metric: Any,
    **others: Any,
) -> list[float]:
    """What each rollout earned; what is watched goes on to the log."""
    del prompts, completions, others
    for name, value in measures[0].items():
        log_metric(name, value)
    return earned


class KeepScores(TrainerCallback):
    """Writes the scores of tasks into each checkpoint."""

    def __init__(self, draw: EpisodeDraw) -> None:
        self.draw = draw

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / _SCORES).write_text(json.dumps(self.draw.scores.tolist()))

    def restore(self, checkpoint: Path) -> None:
        """Take the scores of a checkpoint."""
        self.draw.scores[:] = json.loads((checkpoint / _SCORES).read_text())


def grpo_trainer(
    model: Any,
    tokenizer: Any,
    chat: ChatTokens,
    environment: EnvConfig,
    config: LlmConfig,
    grpo: Grpo,
    draw: EpisodeDraw,
    folder: Path,
    seed: int,
    callbacks: list[TrainerCallback],
    **more: Any,
) -> GRPOTrainer:
    """The trainer of the second stage.

    Args:
        model: With adapters, or all of it to be trained.
        tokenizer: Its own.
        chat: How chats become tokens.
        environment: What is played.
        config: The whole configuration.
        grpo: The stage.
        draw: Of episodes.
        folder: Of checkpoints.
        seed: Of sampling.
        callbacks: Told of measures and checkpoints.
        **more: Further arguments of `GRPOConfig`.
    """

    @contextmanager
    def writer(trainer: Any, group: int) -> Generator[Any]:
        if grpo.engine != "transformers":
            trainer.vllm_generation.max_completion_length = grpo.reply_tokens  # not of the episode
            yield VllmWriter(trainer.vllm_generation, chat.end)
            return
        rank = trainer.accelerator.process_index
        own = np.random.default_rng([seed, group, rank]).integers(2**62)
        random = torch.Generator().manual_seed(int(own))
        library: Any = trl_models
        unwrap = library.unwrap_model_for_generation
        with unwrap(trainer.model_wrapped, trainer.accelerator) as unwrapped:
            training = unwrapped.training
            unwrapped.eval()
            yield CachedWriter(
                unwrapped,
                chat.end,
                grpo.reply_tokens,
                grpo.temperature,
                grpo.top_p,
                random,
                trainer.accelerator.autocast,
            )
            unwrapped.train(training)

    if config.lora is not None and grpo.engine != "transformers":
        merges_exactly(model)
    rows = math.ceil(grpo.steps / grpo.iterations) * grpo.groups
    library: Any = datasets
    rewards: Any = [episode_reward]
    return ConductorGrpoTrainer(
        model=model,
        reward_funcs=rewards,
        args=GRPOConfig(**grpo_arguments(config, grpo, folder, seed), **more),
        train_dataset=library.Dataset.from_dict({"prompt": [str(group) for group in range(rows)]}),
        processing_class=tokenizer,
        rollout_func=RolloutFunction(environment, config.language, grpo, draw, chat, writer),
        callbacks=callbacks,
    )


def grpo_arguments(config: LlmConfig, grpo: Grpo, folder: Path, seed: int) -> dict[str, Any]:
    """Arguments of TRL's `GRPOConfig`."""
    arguments = shared_arguments(config, grpo, folder, seed, grpo.steps) | {
        "max_steps": grpo.steps,
        "num_generations": grpo.group_size,
        "num_iterations": grpo.iterations,
        "shuffle_dataset": False,
        "temperature": grpo.temperature,
        "top_p": grpo.top_p,
        "max_completion_length": grpo.max_tokens,
        "beta": grpo.beta,
        "epsilon": grpo.epsilon,
        "epsilon_high": grpo.epsilon_high,
        "loss_type": grpo.loss_type,
        "scale_rewards": grpo.scale_rewards,
    }
    if grpo.engine != "transformers":
        arguments |= {
            "use_vllm": True,
            "vllm_mode": grpo.engine.removeprefix("vllm-"),
            "vllm_gpu_memory_utilization": grpo.vllm_memory,
            "vllm_tensor_parallel_size": grpo.vllm_tensor_parallel,
            "vllm_enable_sleep_mode": grpo.vllm_sleep,
            "vllm_server_base_url": grpo.vllm_server if grpo.engine == "vllm-server" else None,
            "vllm_max_model_length": _PROMPT_ROOM + grpo.max_tokens,
        }
    return arguments
