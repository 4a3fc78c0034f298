"""Gymnasium's own vector environments over `Conductor-v0`."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from conductor_gym.env import ConductorEnv

gym: Any = gymnasium
MODES: Any = gymnasium.vector.AutoresetMode
SOLVE, SUBMIT = [2, 0, 0], [0, 7, 0]


def make(kind: str, mode: Any) -> Any:
    assert ConductorEnv
    return gym.make_vec(
        "Conductor-v0", 3, vectorization_mode=kind, vector_kwargs={"autoreset_mode": mode}
    )


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_seed_gives_consecutive_streams_and_autoreset_moves_each_to_its_next_index(kind: str):
    vector = make(kind, MODES.SAME_STEP)
    _, infos = vector.reset(seed=5)
    assert infos["stream"].tolist() == [5, 6, 7]
    assert infos["index"].tolist() == [0, 0, 0]
    vector.step(np.tile(SOLVE, (3, 1)))
    _, rewards, over, cut, infos = vector.step(np.array([SUBMIT, SOLVE, SUBMIT]))
    assert over.tolist() == [True, False, True]
    assert not cut.any()
    assert infos["index"].tolist() == [1, 0, 1]
    assert infos["final_info"]["quality"][[0, 2]].tolist() == rewards[[0, 2]].tolist()
    vector.close()


def test_a_list_of_seeds_gives_each_environment_its_own_stream():
    vector = make("sync", MODES.NEXT_STEP)
    _, infos = vector.reset(seed=[9, 0, 9])
    assert infos["stream"].tolist() == [9, 0, 9]
    assert infos["uid"][0] == infos["uid"][2]
    _, infos = vector.reset()
    assert infos["index"].tolist() == [1, 1, 1]
    vector.close()


def test_only_masked_slots_move_under_a_reset_mask():
    vector = make("sync", MODES.DISABLED)
    vector.reset(seed=0)
    vector.step(np.array([SUBMIT, SOLVE, SUBMIT]))
    vector.reset(options={"reset_mask": np.array([True, False, False])})
    episodes = [env.unwrapped.engine.episodes[0] for env in vector.envs]
    assert [int(e["index"]) for e in episodes] == [1, 0, 0]
    assert [int(e["steps"]) for e in episodes] == [0, 1, 1]
    vector.close()
