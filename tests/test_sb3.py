"""Stable-Baselines3: algorithms train unchanged, the batched adapter plays the same episodes."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError, DataFileError, InvalidActionError, UnknownNameError
from conductor_gym.leaderboard.evaluate import play
from conductor_gym.leaderboard.tracks import find_track

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from conductor_gym.agents.ppo import MaskablePPOAgent, PPOAgent, train_ppo
from conductor_gym.agents.training import TrainingRun
from conductor_gym.sb3 import ConductorVecEnv

STEPS = 16 * 1024


def training(folder: Path, resume: bool = True) -> TrainingRun:
    setting = find_track("paper").setting(0.05)
    return TrainingRun("maskable-ppo", setting, folder, STEPS, resume=resume)


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_ppo_trains_unchanged_on_the_environment_from_gym_make(algorithm: Any) -> None:
    env = gym.make("conductor_gym:Conductor-v0")
    model = algorithm("MultiInputPolicy", env, n_steps=64, batch_size=32, n_epochs=1, seed=1)
    model.learn(128)
    assert model.num_timesteps >= 128


def test_adapter_slot_plays_the_scalar_environments_episodes() -> None:
    n = 5
    vec: Any = ConductorVecEnv(n)
    vec.seed(70)
    scalars = [gym.make("conductor_gym:Conductor-v0") for _ in range(n)]
    starts = [env.reset(seed=70 + i)[0] for i, env in enumerate(scalars)]
    rows: Any = vec.reset()
    generator = np.random.default_rng(3)
    for _ in range(60):
        for i, start in enumerate(starts):
            for name, value in start.items():
                np.testing.assert_array_equal(rows[name][i], value)
        actions = np.stack(
            [generator.integers(0, size, n) for size in (8, 8, 7)], axis=1, dtype=np.int64
        )
        rows, rewards, dones, infos = vec.step(actions)
        for i, env in enumerate(scalars):
            start, reward, over, _, info = env.step(actions[i])
            assert np.float32(reward) == rewards[i]
            assert over == dones[i]
            if over:
                for name, value in start.items():
                    np.testing.assert_array_equal(infos[i]["terminal_observation"][name], value)
                assert infos[i]["quality"] == info["quality"]
                assert infos[i]["cost_usd"] == info["cost_usd"]
                assert infos[i]["episode"]["r"] == pytest.approx(
                    info["utility"] - 0.01 * info["invalid_actions"], abs=1e-8
                )
                start = env.reset()[0]
            starts[i] = start


def test_adapter_serves_masks_and_refuses_what_it_cannot_do() -> None:
    vec = ConductorVecEnv(3)
    rows: Any = vec.reset()
    masks = np.stack(vec.env_method("action_masks"))
    np.testing.assert_array_equal(masks, rows["action_mask"].astype(bool))
    assert vec.has_attr("action_masks")
    assert len(vec.env_method("action_masks", indices=[0, 2])) == 2
    with pytest.raises(UnknownNameError, match="action_masks"):
        vec.env_method("action_mask")
    with pytest.raises(InvalidActionError, match=r"\(3, 3\)"):
        vec.step_async(np.zeros((2, 3), np.int64))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "maskable-ppo"
    train_ppo(training(folder))
    return folder


def test_a_trained_policy_is_saved_loaded_and_played(trained: Path) -> None:
    track = find_track("paper")
    agent = MaskablePPOAgent(track.setting(0.05), trained)
    played = play(agent, track.evaluation(0.05), 200)
    again = play(MaskablePPOAgent(track.setting(0.05), trained), track.evaluation(0.05), 200)
    assert played.decisions == again.decisions
    assert played.invalid.sum() == 0
    card = json.loads((trained / "card.json").read_text())
    assert card["environment"]["key"] == "public"
    assert card["environment"]["split"] == "train"
    assert card["timesteps"] >= STEPS


def test_training_twice_with_one_seed_gives_the_same_policy(trained: Path, tmp_path: Path) -> None:
    train_ppo(training(tmp_path))
    first = (trained / "policy.safetensors").read_bytes()
    assert (tmp_path / "policy.safetensors").read_bytes() == first


class _Exploit:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("exploited"),)  # pyright: ignore[reportReturnType]


def test_a_pickle_in_place_of_weights_is_refused_and_not_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "card.json").write_bytes((trained / "card.json").read_bytes())
    (model / "policy.safetensors").write_bytes(pickle.dumps(_Exploit()))
    with pytest.raises(DataFileError, match="cannot be loaded"):
        MaskablePPOAgent(find_track("paper").setting(0.05), model)
    assert not Path("exploited").exists()


def test_a_missing_broken_or_foreign_model_says_what_to_do(trained: Path, tmp_path: Path) -> None:
    setting = find_track("paper").setting(0.05)
    with pytest.raises(DataFileError, match="conductor-gym train"):
        MaskablePPOAgent(setting, tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(DataFileError, match="not a model card"):
        MaskablePPOAgent(setting, tmp_path)
    card = json.loads((trained / "card.json").read_text())
    card["environment"]["pool"] = "other"
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match="Train a model for this track"):
        MaskablePPOAgent(setting, tmp_path)


def test_a_model_is_not_scored_under_another_algorithms_name(trained: Path) -> None:
    with pytest.raises(ConfigError, match="score it as agent 'maskable-ppo'"):
        PPOAgent(find_track("paper").setting(0.05), trained)


def test_adapter_without_a_seed_draws_its_streams_and_with_one_repeats_them() -> None:
    def streams(seed: int | None) -> list[int]:
        vec = ConductorVecEnv(3)
        if seed is not None:
            vec.seed(seed)
        vec.reset()
        return vec.engine.episodes["stream"].tolist()

    assert streams(5) == streams(5) == [5, 6, 7]
    assert streams(None) != streams(None)


def test_adapter_passes_its_settings_on() -> None:
    vec = ConductorVecEnv(4, EnvConfig(cost_weight=0.2, max_steps=3))
    rows: Any = vec.reset()
    assert rows["history"].shape == (4, 3, 11)
    np.testing.assert_allclose(rows["budget"][:, 3], np.sqrt(0.2), rtol=1e-6)


def test_adapter_refuses_seeds_and_settings_that_cannot_be_and_goes_on() -> None:
    vec = ConductorVecEnv(2)
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        vec.seed(-1)
    vec.reset()
    wrong: Any = {"cost_weight": 1}
    with pytest.raises(ConfigError, match="config must be an EnvConfig"):
        ConductorVecEnv(2, wrong)
