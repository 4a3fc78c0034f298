"""Steps a second of Stable-Baselines3's PPO, learning included, on rollouts of 16,384 steps."""

from typing import Any

import pytest

ROLLOUT = 16_384


@pytest.mark.parametrize("name", ["DummyVecEnv, 8", "ours, 8", "ours, 64", "ours, 1024"])
def test_training(benchmark: Any, name: str) -> None:
    pytest.importorskip("stable_baselines3", reason="install the extra `rl`")
    import gymnasium as gym
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from conductor_gym.sb3 import ConductorVecEnv

    torch.set_num_threads(1)
    kind, n = name.split(", ")
    envs: Any = (
        ConductorVecEnv(int(n))
        if kind == "ours"
        else DummyVecEnv([lambda: gym.make("Conductor-v0")] * int(n))
    )
    learner: Any = PPO(
        "MultiInputPolicy",
        envs,
        n_steps=ROLLOUT // int(n),
        batch_size=2048,
        n_epochs=4,
        seed=0,
        device="cpu",
    )
    benchmark.extra_info.update(kind="training", name=name, steps=ROLLOUT)
    benchmark.pedantic(lambda: learner.learn(ROLLOUT), rounds=3, warmup_rounds=1)
