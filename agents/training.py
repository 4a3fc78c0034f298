"""What every trained agent shares: a training run, its log and checkpoints, the model folder.

A model is a folder: `policy.safetensors` (weights), `card.json` (how it was made), `curve.png`, and
`tensorboard/`. Nothing in it is executed when it is loaded. While it is being trained, the folder
holds `checkpoint.safetensors`, from which a killed run goes on.
"""

import functools
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Setting
from conductor_gym.config import EnvConfig
from conductor_gym.data_files import make_folder, write_beside_and_rename
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError

try:
    import torch
    from safetensors.torch import load, save
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None

Arrays = dict[str, npt.NDArray[Any]]
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")

WEIGHTS = "policy.safetensors"
CARD = "card.json"
CHECKPOINT = "checkpoint.safetensors"
PICKLES = (".zip", ".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy")
"""Files that other programs keep policies in, and whose loading runs code that is in them."""
STREAMS_PER_SEED = 2**20
"""Training seed j starts at stream j * 2^20."""
SAME_WORLD = ("pool", "suite", "max_workers", "max_steps")
"""Settings in which training and scoring must agree, unless an agent says otherwise."""


@dataclass
class TrainingRun:
    """One training run, as `conductor-gym train` starts it.

    Attributes:
        agent: Name of the agent.
        setting: What the agent is built for; `setting.train` is the training environment, with the
            cost weight drawn per episode.
        folder: Where the model is written, complete or not at all.
        timesteps: Environment steps, or samples where the agent has no environment steps.
        seed: Training seed j; streams start at j * 2^20.
        report: Called with the steps so far and a mean return, for the progress bar.
        resume: Whether to go on from a checkpoint where there is one.
        models: Folder of this track's other trained agents, for agents that look at them.
        dataset: Name of a Minari dataset to learn from, for agents that learn from traces.
        model: Model that training starts from, for language models.
        recipe: How it is trained, for language models: a configuration by name or path.
    """

    agent: str
    setting: Setting
    folder: Path
    timesteps: int
    seed: int = 0
    report: Callable[[int, float], None] = lambda steps, mean_return: None
    resume: bool = True
    models: Path = Path("models")
    dataset: str | None = None
    model: str | None = None
    recipe: str | None = None
    curve: list[tuple[int, float]] = field(default_factory=lambda: [])
    _began: float = field(default_factory=time.perf_counter)
    _earlier_s: float = 0.0
    _writer: Any = None

    @property
    def config(self) -> EnvConfig:
        """The training environment."""
        return self.setting.train

    @property
    def first_stream(self) -> int:
        """First stream of this training seed."""
        return self.seed * STREAMS_PER_SEED

    @property
    def wall_s(self) -> float:
        """Seconds of work so far, those before a resumption included."""
        return self._earlier_s + time.perf_counter() - self._began

    def log(self, steps: int, mean_return: float, **scalars: float) -> None:
        """Add a point to curve, progress bar and TensorBoard log.

        Args:
            steps: Environment steps so far.
            mean_return: Of the episodes since the last point.
            **scalars: Further values by name, for TensorBoard alone.
        """
        self.curve.append((steps, round(mean_return, 6)))
        if self._writer is None:
            if len(self.curve) == 1:  # a fresh start: what an earlier training logged is not its
                rmtree(self.folder / "tensorboard", ignore_errors=True)
            self._writer = _summary_writer(self.folder / "tensorboard", steps)
        if self._writer is not None:
            for name, value in {"mean_return": mean_return, **scalars}.items():
                self._writer.add_scalar(name, value, steps)
        self.report(steps, mean_return)

    def save_checkpoint(self, steps: int, tensors: dict[str, torch.Tensor], **values: Any) -> None:
        """Write everything that going on needs, complete or not at all.

        Args:
            steps: Environment steps so far.
            tensors: Weights, optimizer state, random state, episodes.
            **values: Whatever else, as JSON.
        """
        kept = {
            "run": self._identity(),
            "steps": steps,
            "curve": self.curve,
            "wall_s": self.wall_s,
            "values": values,
        }
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        make_folder(self.folder)
        write_beside_and_rename(
            self.folder / CHECKPOINT, save(contiguous, {"state": json.dumps(kept)})
        )

    def load_checkpoint(self) -> tuple[int, dict[str, torch.Tensor], dict[str, Any]] | None:
        """Steps, tensors and values of the last checkpoint, None where there is none to use.

        Raises:
            ConfigError: The checkpoint is of another run.
            DataFileError: It is broken.
        """
        path = self.folder / CHECKPOINT
        if not self.resume or not path.is_file():
            return None
        try:
            content = path.read_bytes()
            length = int.from_bytes(content[:8], "little")
            kept = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
            tensors = load(content)
            known = self._identity()
            if kept["run"] != known:
                raise ConfigError(
                    f"{path} is the checkpoint of another run: {_changes(kept['run'], known)}. "
                    "Finish that one with its own settings, or start anew with --fresh."
                )
            self.curve = [(int(steps), float(value)) for steps, value in kept["curve"]]
            self._earlier_s = float(kept["wall_s"])
            return int(kept["steps"]), tensors, kept["values"]
        except ConfigError:
            raise
        except Exception as error:
            raise DataFileError(
                f"{path} is not a checkpoint that can be read: {error}. Start anew with --fresh."
            ) from None

    def finish(
        self,
        weights: dict[str, torch.Tensor],
        timesteps: int,
        hyperparameters: dict[str, Any],
        **more: Any,
    ) -> dict[str, Any]:
        """Write the model: weights, card, picture of the curve; remove the checkpoint.

        Args:
            weights: Of the policy.
            timesteps: Steps that were made.
            hyperparameters: All of them.
            **more: What else belongs on the card.

        Returns:
            The card.
        """
        card: dict[str, Any] = {
            "algorithm": self.agent,
            "environment": self.config.as_dict(),
            "seed": self.seed,
            "timesteps": timesteps,
            "asked_timesteps": self.timesteps,
            "dataset": self.dataset,
            "wall_s": round(self.wall_s, 1),
            "hyperparameters": hyperparameters,
            "torch": torch.__version__,
            **more,
            "curve": self.curve,
        }
        make_folder(self.folder)
        contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
        write_beside_and_rename(self.folder / WEIGHTS, save(contiguous))
        write_beside_and_rename(self.folder / CARD, json.dumps(card, indent=1).encode())
        if self._writer is not None:
            self._writer.close()
        if self.curve:
            _draw_curve(card, self.folder / "curve.png")
        self.forget_checkpoint()
        return card

    def finished(self) -> dict[str, Any] | None:
        """The card of this very run, None where it has not ended yet."""
        try:
            card: dict[str, Any] = json.loads((self.folder / CARD).read_text())
        except (OSError, ValueError):
            return None
        made = card | {"agent": card.get("algorithm"), "timesteps": card.get("asked_timesteps")}
        known = self._identity()
        return card if all(made.get(name) == known[name] for name in known) else None

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint, and what a kill in the middle of writing one has left."""
        for path in (self.folder / CHECKPOINT, *self.folder.glob(f".{CHECKPOINT}.*")):
            path.unlink(missing_ok=True)

    def _identity(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "environment": self.config.as_dict(),
            "timesteps": self.timesteps,
            "seed": self.seed,
            "dataset": self.dataset,
        }


def keeps_random_state(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """A function after which the process's own random state is as it was before.

    For trainers, since Stable-Baselines3 seeds Python, numpy and torch, and for whatever builds a
    network, since torch draws its first weights.
    """

    @functools.wraps(function)
    def wrapped(*args: _Given.args, **options: _Given.kwargs) -> _Made:
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            return function(*args, **options)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            torch.set_rng_state(before[2])

    return wrapped


def read_card(
    agent: str, setting: Setting, model: Path, same: tuple[str, ...] = SAME_WORLD
) -> dict[str, Any]:
    """The card of a model, checked against what it is to be used for.

    Args:
        agent: Name of the agent that must have made it.
        setting: Where it is to act.
        model: Its folder.
        same: Settings of the environment that must be equal.

    Raises:
        DataFileError: Files that are missing, broken, or of a kind that is not loaded.
        ConfigError: A model of another agent or environment.
    """
    if model.suffix in PICKLES or (model.is_dir() and not (model / CARD).exists()):
        foreign = [model.name] if model.suffix in PICKLES else []
        if model.is_dir():
            foreign += sorted(p.name for p in model.iterdir() if p.suffix in PICKLES)
        if foreign:
            raise DataFileError(
                f"{model}: {foreign[0]} is refused. Files of this kind are pickles: whoever loads "
                "one runs the code inside it. A model is a folder with policy.safetensors and "
                f"card.json, as `conductor-gym train {agent}` writes it. To bring weights of your "
                "own, save them with safetensors, or write an agent that loads them: "
                "docs/your-agent.md."
            )
    seeds = sorted(path.parent.name for path in model.glob(f"seed-*/{CARD}"))
    if seeds:
        raise DataFileError(f"{model} holds a model a training seed: name {model / seeds[0]}.")
    if not model.exists():
        raise DataFileError(f"{model} does not exist. `conductor-gym train {agent}` makes a model.")
    try:
        card = json.loads((model / CARD).read_text())
        algorithm, trained_on = card["algorithm"], dict(card["environment"])
    except (FileNotFoundError, NotADirectoryError):
        raise DataFileError(
            f"{model}: no card.json. Run `conductor-gym train {agent}` or "
            "name the folder that it wrote."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{model}/card.json is not a model card: {error!r}.") from None
    if algorithm != agent:
        raise ConfigError(
            f"{model} was trained with {algorithm!r}: score it as agent {algorithm!r}, "
            f"not as {agent!r}."
        )
    here = setting.train.as_dict()
    for name in same:
        if trained_on.get(name) != here[name]:
            raise ConfigError(
                f"{model} was trained with {name}={trained_on.get(name)!r}, here it is "
                f"{here[name]!r}. Train a model for this track."
            )
    return card


def read_weights(model: Path, policy: torch.nn.Module) -> None:
    """Load a model's weights into a policy of the same shape.

    Raises:
        DataFileError: Not a safetensors file, or weights of another shape.
    """
    try:
        policy.load_state_dict(load((model / WEIGHTS).read_bytes()))
    except Exception as error:
        raise DataFileError(f"{model}/{WEIGHTS} cannot be loaded: {error}") from None
    policy.eval()


def bytes_of(array: npt.NDArray[Any]) -> torch.Tensor:
    """Any array, records too, as uint8 for a checkpoint."""
    return torch.tensor(np.frombuffer(array.tobytes(), np.uint8))


def put_bytes(array: npt.NDArray[Any], kept: torch.Tensor) -> None:
    """Write what `bytes_of` kept back into an array of the same type and shape."""
    array[...] = np.frombuffer(kept.numpy().tobytes(), array.dtype).reshape(array.shape)


def _changes(there: dict[str, Any], here: dict[str, Any]) -> str:
    """What differs between two runs, as ``seed 1 there, 0 here``."""
    old, new = (run | dict(run["environment"]) for run in (there, here))
    changed = [name for name in new if name != "environment" and old.get(name) != new[name]]
    return ", ".join(f"{name} {old.get(name)} there, {new[name]} here" for name in changed)


def _summary_writer(folder: Path, steps: int) -> Any:
    """A TensorBoard writer, None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        return None
    return SummaryWriter(str(folder), purge_step=steps)


def _draw_curve(card: dict[str, Any], path: Path) -> None:
    """Mean return over steps, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    axes.plot(*np.array(card["curve"], np.float64).reshape(-1, 2).T)
    axes.set_xlabel("steps of training")
    axes.set_ylabel("mean return (cost weights drawn)")
    axes.set_title(
        f"{card['algorithm']}, seed {card['seed']}, pool {card['environment']['pool']}", fontsize=9
    )
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)  # pyright: ignore[reportUnknownMemberType]
