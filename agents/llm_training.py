"""Training a language model to conduct: `conductor-gym train llm --model MODEL --config CONFIG`.

Fine-tuning on what good agents did, then GRPO on own episodes, or one of the two. The model folder
gets `card.json`, adapters or weights as safetensors, and `curve.png`. Of two stages the first one's
model is kept in `sft/`, a conductor of its own. While it is being trained, the folder holds
`checkpoints/`, from which a killed run goes on. On several GPUs every process runs this; the first
one writes.
"""

import json
import os
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from typing import Any

from conductor_gym.agents.llm_config import LlmConfig, llm_config_path, load_llm_config
from conductor_gym.agents.llm_curve import draw_llm_curve
from conductor_gym.agents.llm_lessons import llm_lessons
from conductor_gym.agents.llm_start import (
    Start,
    find_start,
    load_start,
    load_tokenizer,
    training_dtype,
    write_model,
)
from conductor_gym.agents.training import CARD, TrainingRun, keeps_random_state
from conductor_gym.data_files import make_folder, write_beside_and_rename
from conductor_gym.errors import ConfigError, MissingExtraError
from conductor_gym.language.episode_tokens import ChatTokens, episode_tokens

# Both are read when the libraries are imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
try:
    import torch
    from transformers import PrinterCallback, TrainerCallback, trainer_utils

    from conductor_gym.agents.llm_draw import EpisodeDraw
    from conductor_gym.agents.llm_grpo import KeepScores, grpo_trainer
    from conductor_gym.agents.llm_sft import as_examples, sft_steps, sft_trainer
except ModuleNotFoundError:
    raise MissingExtraError("training a language model", "train") from None

CHECKPOINTS = "checkpoints"
SFT = "sft"
RUN = "run.json"
WATCHED = (
    "mean_return",
    "quality",
    "utility",
    "invalid_share",
    "steps_per_episode",
    "flat_groups",
    "largest_worker_share",
    "entropy",
    "environment_s",
    "rollout_s",
    "step_time",
)
"""What the card of a GRPO stage holds of every step."""


@keeps_random_state
def train_llm(run: TrainingRun) -> dict[str, Any]:
    """Train; go on where a run of the same settings was killed.

    Args:
        run: With `model` and `recipe`.

    Returns:
        The card.

    Raises:
        ConfigError: Settings that cannot work together, or checkpoints of another run.
        DataFileError: Files that are broken.
    """
    if run.model is None or run.recipe is None:
        raise ConfigError("a language model is trained from a model and by a configuration.")
    path = llm_config_path(run.recipe)
    config = load_llm_config(run.recipe)
    _check_devices(config)
    start = find_start(run.model)
    stages = _Stages(run, config, start, path.parent)
    if stages.has("."):
        return stages.close()
    with _quiet():
        if config.sft is not None and not stages.has(SFT):
            stages.fine_tune()
        if config.grpo is not None:
            stages.reinforce()
    return stages.close()


class _Stages:
    """The stages of one run, each from the model that the one before left."""

    def __init__(self, run: TrainingRun, config: LlmConfig, start: Start, beside: Path) -> None:
        self.run, self.config, self.start = run, config, start
        self.first = int(os.environ.get("RANK", "0")) == 0
        self.more: dict[str, Any] = {}
        if config.deepspeed is not None:
            self.more["deepspeed"] = str(beside / config.deepspeed)
        self.identity = {
            "environment": run.config.as_dict(),
            "seed": run.seed,
            "base": start.base,
            "config": config.model_dump(mode="json"),
        }
        self.stages = list(start.before)
        self.earlier_s = 0.0
        self.began = time.perf_counter()
        self._claim()
        if self.has(SFT):
            self.start, self.stages = self._after(run.folder / SFT)
        self.tokenizer = load_tokenizer(self.start)
        self.chat = ChatTokens(self.tokenizer)

    @property
    def wall_s(self) -> float:
        """Seconds of work so far, those before a resumption included."""
        return self.earlier_s + time.perf_counter() - self.began

    def has(self, stage: str) -> bool:
        """Whether a stage of this very run is done."""
        try:
            card = json.loads((self.run.folder / stage / CARD).read_text())
        except (OSError, ValueError):
            return False
        return all(card.get(name) == value for name, value in self.identity.items())

    def fine_tune(self) -> None:
        """The first stage."""
        run, config, sft = self.run, self.config, self.config.sft
        if sft is None:
            raise ConfigError("the configuration has no [sft].")
        lessons = llm_lessons(run.setting, config, sft, "train", sft.episodes, run.first_stream)
        held_out = llm_lessons(run.setting, config, sft, "dev", sft.dev_episodes, run.first_stream)
        examples, dev = (
            as_examples([episode_tokens(d, self.chat) for d in one.dialogues], sft.max_tokens)
            for one in (lessons, held_out)
        )
        if not examples:
            raise ConfigError(
                f"no episode fits sft.max_tokens = {sft.max_tokens}: raise it, or lower "
                "language.query_characters."
            )
        folder = run.folder / CHECKPOINTS / SFT
        trainer = sft_trainer(
            load_start(self.start, config, run.seed, writes=False),
            examples,
            dev,
            config,
            sft,
            folder,
            run.seed,
            self.tokenizer.pad_token_id,
            _Watch(self, "loss", 0),
            **self.more,
        )
        self._train(trainer, folder)
        log = trainer.state.log_history
        self._stage(
            trainer,
            run.folder / SFT if config.grpo is not None else run.folder,
            {
                "stage": "sft",
                "steps": int(trainer.state.global_step),
                "episodes": len(examples),
                "tokens": sum(example["length"] for example in examples),
                "left_out": {
                    "cannot be told": lessons.dropped,
                    "too long": len(lessons.dialogues) - len(examples),
                },
                "teachers_utility": round(float(lessons.utilities.mean()), 4),
                "losses": _points(log, "loss"),
                "dev_losses": _points(log, "eval_loss"),
            },
        )

    def reinforce(self) -> None:
        """The second stage."""
        run, config, grpo = self.run, self.config, self.config.grpo
        if grpo is None:
            raise ConfigError("the configuration has no [grpo].")
        environment = replace(run.config, cost_weight=config.cost_weight)
        draw = EpisodeDraw(environment, run.first_stream, run.seed, grpo.contested)
        keeper = KeepScores(draw)
        folder = run.folder / CHECKPOINTS / "grpo"
        done = 0 if config.sft is None else sft_steps(config.sft, config.sft.episodes, 1)
        trainer = grpo_trainer(
            load_start(self.start, config, run.seed),
            self.tokenizer,
            self.chat,
            environment,
            config,
            grpo,
            draw,
            folder,
            run.seed,
            [_Watch(self, "mean_return", done), keeper],
            **self.more,
        )
        self._train(trainer, folder, keeper)
        log = trainer.state.log_history
        self._stage(
            trainer,
            run.folder,
            {
                "stage": "grpo",
                "steps": int(trainer.state.global_step),
                "episodes": grpo.steps // grpo.iterations * grpo.groups * grpo.group_size,
                "log": {name: [value for _, value in _points(log, name)] for name in WATCHED},
            },
        )

    def close(self) -> dict[str, Any]:
        """Remove the checkpoints; returns the card."""
        if self.first:
            rmtree(self.run.folder / CHECKPOINTS, ignore_errors=True)
        return json.loads((self.run.folder / CARD).read_text())

    def _claim(self) -> None:
        """Begin, or go on with what this very run has left."""
        path = self.run.folder / CHECKPOINTS / RUN
        if not self.run.resume and self.first:
            rmtree(path.parent, ignore_errors=True)
            rmtree(self.run.folder / SFT, ignore_errors=True)
            (self.run.folder / CARD).unlink(missing_ok=True)
        try:
            kept: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            kept = {"run": self.identity, "wall_s": 0.0}
        if kept["run"] != self.identity:
            raise ConfigError(
                f"{path.parent} is of another run: {_changes(kept['run'], self.identity)}. Finish "
                "that one with its own settings, or start anew with --fresh."
            )
        self.earlier_s = float(kept["wall_s"])

    def note(self) -> None:
        """Write down whose checkpoints these are, and how long they took."""
        if self.first:
            kept = {"run": self.identity, "wall_s": round(self.wall_s, 1)}
            path = self.run.folder / CHECKPOINTS / RUN
            make_folder(path.parent)
            write_beside_and_rename(path, json.dumps(kept).encode())

    def _after(self, folder: Path) -> tuple[Start, list[dict[str, Any]]]:
        """What a stage of this run has left; its base model is known already."""
        adapted = (folder / "adapter_config.json").is_file()
        stages = json.loads((folder / CARD).read_text())["stages"]
        base_folder = self.start.base_folder if adapted else str(folder)
        return Start(self.start.base, base_folder, folder), stages

    def _train(self, trainer: Any, folder: Path, keeper: KeepScores | None = None) -> None:
        trainer.remove_callback(PrinterCallback)
        library: Any = trainer_utils
        last = library.get_last_checkpoint(str(folder)) if folder.is_dir() else None
        if last is not None and keeper is not None:
            keeper.restore(Path(last))
        trainer.train(resume_from_checkpoint=last)

    def _stage(self, trainer: Any, folder: Path, stage: dict[str, Any]) -> None:
        """Write the model that a stage has made, with its card."""
        write_model(trainer, folder, self.start, self.tokenizer, training_dtype(self.config))
        if stage["stage"] == "sft":
            curve = [[step, -loss] for step, loss in stage["dev_losses"]]
        else:
            curve = [[k + 1, value] for k, value in enumerate(stage["log"]["mean_return"])]
        self.stages.append(stage | {"wall_s": round(self.wall_s - self._spent(), 1)})
        steps = sum(one["steps"] for one in self.stages)
        card: dict[str, Any] = {
            "algorithm": "llm",
            **self.identity,
            "language": self.config.language.as_dict(),
            "timesteps": steps,
            "wall_s": round(self.wall_s, 1),
            "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
            "threads": torch.get_num_threads(),
            "stages": self.stages,
            "curve": curve,
        }
        if self.first:
            draw_llm_curve(card, folder / "curve.png")
            # The card comes last: a folder with a card is complete.
            write_beside_and_rename(folder / CARD, json.dumps(card, indent=1).encode())
        trainer.accelerator.wait_for_everyone()
        self.start, self.stages = self._after(folder)
        self.note()

    def _spent(self) -> float:
        own = self.stages[len(self.start.before) :] if self.start.before else self.stages
        return sum(float(one["wall_s"]) for one in own)


class _Watch(TrainerCallback):
    """Passes the progress of a stage on, from the first process alone."""

    def __init__(self, stages: _Stages, name: str, before: int) -> None:
        self.stages, self.name, self.before = stages, name, before

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        if self.stages.first and logs and self.name in logs:
            sign = -1.0 if self.name == "loss" else 1.0
            self.stages.run.report(self.before + state.global_step, sign * float(logs[self.name]))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self.stages.note()


def expected_steps(config: LlmConfig) -> int:
    """Optimizer steps of all stages, for the progress bar."""
    steps = 0 if config.grpo is None else config.grpo.steps
    if config.sft is not None:
        steps += sft_steps(config.sft, config.sft.episodes, max(1, config.devices))
    return steps


def _check_devices(config: LlmConfig) -> None:
    """That as many GPUs take part as the configuration is meant for."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if config.devices > 0 and torch.cuda.device_count() == 0:
        raise ConfigError(
            f"this configuration is for {config.devices} GPU(s), and there is none here: take "
            "'tiny' or 'smollm2', or one of your own with devices = 0."
        )
    if config.devices == 0 and processes > 1:
        raise ConfigError("this configuration is for one process: run it without accelerate.")
    if processes != max(1, config.devices):
        raise ConfigError(
            f"this configuration is for {config.devices} GPU(s), {processes} process(es) were "
            f"started: accelerate launch --config_file {config.accelerate or 'FILE'} "
            "-m conductor_gym train llm ..."
        )


def _points(log: list[dict[str, Any]], name: str) -> list[list[float]]:
    """Step and value, in the order of time."""
    return [[entry["step"], round(float(entry[name]), 5)] for entry in log if name in entry]


def _changes(there: dict[str, Any], here: dict[str, Any]) -> str:
    changed = [name for name in here if there.get(name) != here[name]]
    return "its " + ", ".join(changed) + " differ(s)"


@contextmanager
def _quiet() -> Generator[None]:
    """Without warnings that are between other libraries, and without their progress bars."""
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    library: Any = datasets
    bars = library.is_progress_bar_enabled()
    library.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            if bars:
                library.enable_progress_bars()
