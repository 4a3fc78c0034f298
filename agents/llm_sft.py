"""Supervised fine-tuning of a language model on what good agents did; imported late."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainerCallback, TrainingArguments

from conductor_gym.agents.llm_batches import LengthBatches
from conductor_gym.agents.llm_config import LlmConfig, Optimization, Sft
from conductor_gym.agents.llm_shared import reply_logits
from conductor_gym.agents.llm_start import training_dtype
from conductor_gym.language.episode_tokens import EpisodeTokens

Example = dict[str, Any]
logger = logging.getLogger(__name__)


class SftTrainer(Trainer):
    """A trainer whose loss, and whose logits, are those of the replies alone.

    Sequences end together (padding is in front), so the replies of a batch lie in its last
    columns, and only there the vocabulary is multiplied out.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Cross-entropy per token of a reply; see `Trainer.compute_loss`."""
        mask: Tensor = inputs["reply_mask"]
        tokens: Tensor = inputs["input_ids"]
        width = int(mask.any(dim=0).int().argmax())  # columns before the first reply
        found = self._logits(model, tokens, inputs["attention_mask"], mask.shape[1] - width)
        chosen = mask[:, width:].bool()
        logits: Tensor = found[chosen].float()
        targets: Tensor = tokens[:, width:][chosen]
        if num_items_in_batch is None:
            loss = cross_entropy(logits, targets)
        else:
            loss = cross_entropy(logits, targets, reduction="sum") / num_items_in_batch
        return (loss, {"logits": logits.new_zeros(1)}) if return_outputs else loss

    def _logits(self, model: Any, tokens: Tensor, real: Tensor, keep: int) -> Tensor:
        """Logits [n, keep, vocabulary] from which the last `keep` tokens are told."""
        alone = self.accelerator.num_processes == 1 and tokens.device.type == "cpu"
        shortest = int(real.sum(dim=1).min())
        if alone and not self.args.gradient_checkpointing and shortest > keep + 2:
            rows = [row[held == 1] for row, held in zip(tokens, real, strict=True)]
            return reply_logits(model, rows, keep)
        outputs = model(input_ids=tokens, attention_mask=real, logits_to_keep=keep + 1)
        return outputs.logits[:, :-1]

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBatches:
        """The order of the episodes."""
        trainer: Any = self
        arguments: Any = self.args
        examples: Any = trainer.train_dataset if train_dataset is None else train_dataset
        lengths: list[int] = [example["length"] for example in examples]
        devices = self.accelerator.num_processes
        batch = arguments.per_device_train_batch_size * devices  # devices wait for each other
        return LengthBatches(lengths, batch, arguments.seed)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Any:
        """Tokens of replies, where transformers would count labels."""
        count = sum(int(batch["reply_mask"].sum()) for batch in batch_samples)
        total = torch.tensor(count, device=device)
        accelerator: Any = self.accelerator
        processes = accelerator.num_processes
        if processes > 1:  # losses are averaged over them
            return accelerator.gather(total).sum() / processes
        return total


def collate(examples: Sequence[Example], pad: int) -> dict[str, Tensor]:
    """One batch, padded in front."""
    longest = max(len(example["input_ids"]) for example in examples)

    def padded(name: str, fill: int) -> Tensor:
        return torch.tensor([[fill] * (longest - len(e[name])) + e[name] for e in examples])

    attention = [{"mask": [1] * len(e["input_ids"])} for e in examples]
    return {
        "input_ids": padded("input_ids", pad),
        "attention_mask": torch.tensor(
            [[0] * (longest - len(e["mask"])) + e["mask"] for e in attention]
        ),
        "reply_mask": padded("reply_mask", 0),
    }


def as_examples(episodes: Sequence[EpisodeTokens], most: int) -> list[Example]:
    """What the trainer takes, without episodes longer than `most` tokens."""
    return [
        {"input_ids": episode.ids, "reply_mask": episode.mask, "length": len(episode.ids)}
        for episode in episodes
        if len(episode.ids) <= most
    ]


def shared_arguments(
    config: LlmConfig, stage: Optimization, folder: Path, seed: int, steps: int
) -> dict[str, Any]:
    """Arguments of transformers' trainers that both stages have.

    Args:
        config: The whole configuration.
        stage: One stage of it.
        folder: Of checkpoints.
        seed: Of data order and sampling.
        steps: Optimizer steps of the stage.
    """
    return {
        "output_dir": str(folder),
        "seed": seed,
        "per_device_train_batch_size": stage.device_batch,
        "gradient_accumulation_steps": stage.accumulation,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.schedule,
        "warmup_steps": round(stage.warmup * steps),
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "save_steps": stage.checkpoint_every,
        "save_total_limit": 1,
        "logging_steps": 1,
        "use_cpu": config.devices == 0,
        "bf16": training_dtype(config) == torch.bfloat16,
        "gradient_checkpointing": config.gradient_checkpointing,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }


def sft_trainer(
    model: Any,
    examples: list[Example],
    dev: list[Example],
    config: LlmConfig,
    sft: Sft,
    folder: Path,
    seed: int,
    pad: int,
    callback: TrainerCallback,
    **more: Any,
) -> SftTrainer:
    """The trainer of the first stage.

    Args:
        model: With adapters, or all of it to be trained.
        examples: Of the train split.
        dev: Of the dev split.
        config: The whole configuration.
        sft: The stage.
        folder: Of checkpoints.
        seed: Of the data's order.
        pad: Token that fills.
        callback: Told of losses and checkpoints.
        **more: Further arguments of `TrainingArguments`.
    """
    steps = sft_steps(sft, len(examples), max(1, config.devices))
    arguments = TrainingArguments(
        **shared_arguments(config, sft, folder, seed, steps),
        num_train_epochs=sft.epochs,
        per_device_eval_batch_size=sft.device_batch,
        eval_strategy="steps" if dev else "no",
        eval_steps=max(1, min(sft.checkpoint_every, steps)),
        prediction_loss_only=True,
        label_names=["reply_mask"],
        **more,
    )
    return SftTrainer(
        model=model,
        args=arguments,
        train_dataset=examples,  # pyright: ignore[reportArgumentType]
        eval_dataset=dev or None,  # pyright: ignore[reportArgumentType]
        data_collator=lambda rows: collate(rows, pad),
        callbacks=[callback],
    )


def sft_steps(sft: Sft, examples: int, devices: int) -> int:
    """Optimizer steps of the stage."""
    batches = math.ceil(examples / (sft.device_batch * devices))
    return sft.epochs * math.ceil(batches / sft.accumulation)
