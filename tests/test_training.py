"""Training: resumed runs end as if never stopped, models load as data, nothing is left behind."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from small_training import STEPS, shrink, train, training_run

from conductor_gym.agents.registry import agents, make_agent, trainer
from conductor_gym.agents.training import CARD, CHECKPOINT, WEIGHTS
from conductor_gym.errors import ConductorError, ConfigError, DataFileError
from conductor_gym.leaderboard.tracks import find_track

TRAINED = [name for name, card in agents().items() if card.trained]
# Those that look at other agents have tests of their own: test_cloning, test_shadow.
FROM_SCRATCH = [n for n in TRAINED if agents()[n].learns == "own play" and n != "bc-ppo"]
SCRIPT = Path(__file__).with_name("small_training.py")


def stopped(sent: str, name: str, models: Path, seed: int = 0) -> tuple[int, str, Path]:
    """Train by the command until the signal; exit status, messages, the model's folder."""
    words = ["train", name, "--track", "paper", "--timesteps", str(STEPS), "--seed", str(seed)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), sent, *words, "--models", str(models)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
        timeout=300,
        check=False,
    )
    return done.returncode, done.stderr, models / "paper" / name / f"seed-{seed}"


@pytest.fixture(params=FROM_SCRATCH)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trained agent, its training made small."""
    shrink(request.param, monkeypatch.setattr)
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """``whole(name, seed)``: folder of a model whose training was never stopped."""
    made: dict[tuple[str, int], Path] = {}

    def model(name: str, seed: int = 0) -> Path:
        if (name, seed) not in made:
            folder = tmp_path_factory.mktemp(name) / "model"
            train(name, folder, seed)
            made[name, seed] = folder
        return made[name, seed]

    return model


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``killed(name)``: folder of a training that was killed when a checkpoint existed."""
    made: dict[str, Path] = {}

    def model(name: str) -> Path:
        if name not in made:
            status, said, folder = stopped("SIGKILL", name, tmp_path_factory.mktemp(name))
            assert status == -signal.SIGKILL, said
            made[name] = folder
        return made[name]

    return model


@pytest.fixture
def copied(killed: Callable[[str], Path], name: str, tmp_path: Path) -> Path:
    """A folder of its own with the checkpoint of the killed training."""
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / CHECKPOINT).write_bytes((killed(name) / CHECKPOINT).read_bytes())
    return folder


def test_a_killed_and_resumed_training_ends_in_the_same_weights(
    name: str, copied: Path, killed: Callable[[str], Path], whole: Any
) -> None:
    assert not (killed(name) / WEIGHTS).exists()
    run = training_run(name, copied)
    found = run.load_checkpoint()
    assert found is not None
    assert 0 < found[0] < STEPS
    card = train(name, copied)
    assert (copied / WEIGHTS).read_bytes() == (whole(name) / WEIGHTS).read_bytes()
    assert card["curve"] == [
        tuple(point) for point in json.loads((whole(name) / CARD).read_text())["curve"]
    ]
    assert not (copied / CHECKPOINT).exists()


def test_two_seeds_give_two_policies(name: str, whole: Any) -> None:
    first, second = (whole(name, seed) / WEIGHTS for seed in (0, 1))
    assert first.read_bytes() != second.read_bytes()


def test_a_model_folder_holds_weights_card_curve_and_log_and_no_checkpoint(
    name: str, whole: Any
) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("matplotlib")
    folder = whole(name)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, "curve.png", "tensorboard"}
    assert [path for path in (folder / "tensorboard").iterdir() if "tfevents" in path.name]
    assert (folder / "curve.png").stat().st_size > 5000
    card = json.loads((folder / CARD).read_text())
    assert card["algorithm"] == name
    assert card["timesteps"] >= STEPS
    assert card["curve"][-1][0] == card["timesteps"]


def test_the_checkpoint_of_another_run_is_refused_with_the_repair(name: str, copied: Path) -> None:
    with pytest.raises(ConfigError, match=r"seed 0 there, 3 here.*--fresh"):
        train(name, copied, seed=3)
    with pytest.raises(ConfigError, match=rf"timesteps {STEPS} there, {2 * STEPS} here.*--fresh"):
        train(name, copied, steps=2 * STEPS)
    assert not (copied / WEIGHTS).exists()
    assert (copied / CHECKPOINT).exists(), "the other run must be able to go on"


def test_a_broken_checkpoint_is_refused_with_the_repair(name: str, copied: Path) -> None:
    content = (copied / CHECKPOINT).read_bytes()
    for broken in (content[: len(content) // 2], content[:4], b"", pickle.dumps(os.getcwd)):
        (copied / CHECKPOINT).write_bytes(broken)
        with pytest.raises(DataFileError, match=r"checkpoint\.safetensors is not .*--fresh"):
            train(name, copied)


def test_fresh_starts_anew_where_a_checkpoint_could_not_be_resumed(
    name: str, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conductor_gym.cli import main

    folder = tmp_path / "paper" / name / "seed-0"
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).write_bytes(b"broken")
    words = ["train", name, "--track", "paper", "--timesteps", str(STEPS), "--fresh"]
    monkeypatch.setattr(sys, "argv", ["conductor-gym", *words, "--models", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert (folder / WEIGHTS).read_bytes() == (whole(name) / WEIGHTS).read_bytes()


def test_a_finished_training_is_left_alone_until_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from conductor_gym.cli import app

    shrink("dqn", monkeypatch.setattr)
    words = ["train", "dqn", "--track", "paper", "--models", str(tmp_path), "--timesteps"]
    card = tmp_path / "paper" / "dqn" / "seed-0" / CARD

    def run(*more: str) -> tuple[str, int]:
        done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split()), card.stat().st_mtime_ns

    _, first = run(str(STEPS))
    said, again = run(str(STEPS))
    assert (again, "is trained already" in said) == (first, True)
    assert run(str(STEPS), "--fresh")[1] > first
    said, other = run(str(STEPS // 2))
    assert "is trained already" not in said
    assert other > first


@pytest.mark.parametrize("name", ["maskable-ppo", "evolved"], indirect=True)  # one of each kind
def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(name: str, tmp_path: Path) -> None:
    status, said, folder = stopped("SIGINT", name, tmp_path)
    assert status == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert (folder / CHECKPOINT).exists()
    assert not (folder / WEIGHTS).exists()


def global_state() -> list[Any]:
    """The process's own random state and torch's settings."""
    legacy: Any = np.random.get_state()  # noqa: NPY002
    checks = vars(torch.distributions.Distribution)["_validate_args"]
    return [
        random.getstate(),
        legacy[1].tolist(),
        legacy[2],
        torch.get_rng_state().numpy().tobytes(),
        torch.get_num_threads(),
        checks,
    ]


@pytest.fixture
def own_state() -> Iterator[None]:
    """Global random state that no trainer would produce by seeding, put back afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(77)
    np.random.seed(78)  # noqa: NPY002
    torch.manual_seed(79)  # pyright: ignore[reportUnknownMemberType]
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    torch.set_rng_state(before[2])


@pytest.mark.usefixtures("own_state")
def test_training_and_loading_leave_the_process_s_random_state_alone(
    name: str, tmp_path: Path
) -> None:
    before = global_state()
    train(name, tmp_path)
    assert global_state() == before
    make_agent(name, find_track("paper").setting(0.05), tmp_path)
    assert global_state() == before


class _Exploit:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("exploited"),)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("file", ["policy.zip", "policy.pkl", "policy.pt"])
@pytest.mark.parametrize("agent", TRAINED)
def test_a_foreign_file_as_model_is_refused_with_the_reason_and_not_run(
    agent: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / file).write_bytes(pickle.dumps(_Exploit()))
    for model in (folder, folder / file):
        with pytest.raises(DataFileError, match=rf"{file} is refused.*pickles.*conductor-gym "):
            make_agent(agent, find_track("paper").setting(0.05), model)
    assert not Path("exploited").exists()


def test_a_pickle_named_as_weights_is_refused_and_not_run(
    name: str, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CARD).write_bytes((whole(name) / CARD).read_bytes())
    (folder / WEIGHTS).write_bytes(pickle.dumps(_Exploit()))
    with pytest.raises(ConductorError, match="cannot be loaded"):
        make_agent(name, find_track("paper").setting(0.05), folder)
    assert not Path("exploited").exists()


def test_a_zip_of_stable_baselines3_is_refused(tmp_path: Path) -> None:
    from stable_baselines3 import PPO

    path = tmp_path / "mine.zip"
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8).save(path)  # pyright: ignore
    with pytest.raises(DataFileError, match=r"mine\.zip is refused.*docs/your-agent\.md"):
        make_agent("ppo", find_track("paper").setting(0.05), path)


def test_every_trainer_of_a_card_can_be_imported() -> None:
    assert len(FROM_SCRATCH) >= 6
    assert all(callable(trainer(name)) for name in TRAINED)
