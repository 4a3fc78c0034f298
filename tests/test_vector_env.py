"""The native vector environment: the scalar one's episodes, Gymnasium's rules, clear errors."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.env import ConductorEnv
from conductor_gym.errors import (
    ConfigError,
    EpisodeOverError,
    InvalidActionError,
    UnknownNameError,
)
from conductor_gym.vector_env import ConductorVectorEnv

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")

gym: Any = gymnasium
MODES: Any = gymnasium.vector.AutoresetMode
SOLVE, SUBMIT = [2, 0, 0], [0, 7, 0]
TEXTS = ("uid", "domain", "prompt")
WORLDS: list[dict[str, Any]] = [
    {},
    {"split": "test", "cost_weight": 0.2, "max_steps": 4},
    {"pool": "frontier", "latency_weight": 0.3, "budget_usd": 0.2},
    {"pool": "paper", "suite": "paper-v1"},
    {"pool": "paper", "suite": "paper-v1", "cost_weight": 1.0, "max_workers": 11, "key": "season"},
]


def native(n: int = 3, mode: Any = MODES.NEXT_STEP, **settings: Any) -> Any:
    return gym.make_vec(
        "Conductor-v0",
        n,
        vectorization_mode="vector_entry_point",
        autoreset_mode=mode,
        **settings,
    )


def assert_same(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


def assert_same_infos(got: dict[str, Any], expected: dict[str, Any], texts: bool) -> None:
    """Every entry that Gymnasium's own vector environment gives is there, with its mask."""
    for name, value in expected.items():
        if name.startswith("_") or (name in TEXTS and not texts):
            continue
        mask = expected[f"_{name}"]
        np.testing.assert_array_equal(got[f"_{name}"], mask)
        if name == "final_obs":
            for slot in np.flatnonzero(mask):
                assert_same(got[name][slot], value[slot])
        elif name == "final_info":
            assert_same_infos(got[name], value, texts)
        else:
            assert got[name][mask].tolist() == value[mask].tolist()


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("world", WORLDS)
def test_it_gives_what_gymnasiums_vector_of_scalar_environments_gives(
    world: dict[str, Any], mode: Any
):
    n, generator = 5, np.random.default_rng(1)
    mine = native(n, mode, **world)
    theirs = gym.make_vec(
        "Conductor-v0",
        n,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **world,
    )
    assert mine.observation_space == theirs.observation_space
    assert mine.action_space == theirs.action_space
    got, expected = mine.reset(seed=40), theirs.reset(seed=40)
    assert_same(got[0], expected[0])
    assert_same_infos(got[1], expected[1], texts=True)
    for _ in range(40):
        actions = generator.integers(0, mine.single_action_space.nvec, (n, 3))
        got, expected = mine.step(actions), theirs.step(actions)
        assert_same(got[0], expected[0])
        for i in (1, 2, 3):
            assert got[i].dtype == expected[i].dtype
            np.testing.assert_array_equal(got[i], expected[i])
        assert_same_infos(got[4], expected[4], texts=False)
        if mode == MODES.DISABLED and got[2].any():
            options = {"reset_mask": got[2].copy()}
            got, expected = mine.reset(options=dict(options)), theirs.reset(options=options)
            assert_same(got[0], expected[0])
            assert_same_infos(got[1], expected[1], texts=True)


@settings(max_examples=25)
@given(
    world=st.sampled_from(WORLDS),
    places=st.lists(
        st.tuples(st.integers(0, 2**61), st.integers(0, 2**40)), min_size=1, max_size=5
    ),
    data=st.data(),
)
def test_a_slot_at_any_stream_and_index_plays_the_scalar_environments_episode(
    world: dict[str, Any], places: list[tuple[int, int]], data: Any
):
    streams, indices = (list(column) for column in zip(*places, strict=True))
    vector = native(len(places), MODES.DISABLED, **world)
    options = {"episode_index": np.array(indices)}
    rows, _ = vector.reset(seed=streams, options=options)
    scalars = [ConductorEnv(**world) for _ in places]
    for i, env in enumerate(scalars):
        start, info = env.reset(seed=streams[i], options={"episode_index": indices[i]})
        assert_same({name: array[i] for name, array in rows.items()}, start)
        assert {name: array[i] for name, array in vector.texts().items()} == {
            name: info[name] for name in TEXTS if name in info
        }
    action = st.tuples(st.integers(0, 7), st.integers(0, 6), st.integers(0, 6))
    over = False
    while not over:
        actions = [data.draw(action) for _ in places]
        rows, rewards, ended, _, infos = vector.step(np.array(actions))
        for i, env in enumerate(scalars):
            observation, reward, done, _, info = env.step(np.array(actions[i]))
            assert_same({name: array[i] for name, array in rows.items()}, observation)
            assert (reward, done) == (rewards[i], ended[i])
            assert info == {name: infos[name][i] for name in info}
        over = bool(ended.any())


def test_make_vec_takes_it_unless_told_otherwise():
    vector = gym.make_vec("Conductor-v0", 2)
    assert isinstance(vector.unwrapped, ConductorVectorEnv)
    assert vector.metadata["autoreset_mode"] == MODES.NEXT_STEP
    assert ConductorVectorEnv.metadata["autoreset_mode"] == MODES.NEXT_STEP


def test_a_list_of_seeds_gives_each_slot_its_own_stream_and_none_goes_on():
    vector = native()
    _, infos = vector.reset(seed=[9, 0, 9])
    assert infos["stream"].tolist() == [9, 0, 9]
    assert infos["uid"][0] == infos["uid"][2]
    _, infos = vector.reset(seed=[None, 4, None])
    assert infos["stream"].tolist() == [9, 4, 9]
    assert infos["index"].tolist() == [1, 0, 1]


def test_an_index_is_played_and_the_next_follows_it():
    vector = native()
    _, infos = vector.reset(seed=1, options={"episode_index": 7})
    assert infos["index"].tolist() == [7, 7, 7]
    _, infos = vector.reset()
    assert infos["index"].tolist() == [8, 8, 8]
    mask = np.array([False, True, False])
    _, infos = vector.reset(options={"reset_mask": mask, "episode_index": np.array([1, 2, 3])})
    assert vector.engine.episodes["index"].tolist() == [8, 2, 8]
    assert infos["_index"].tolist() == mask.tolist()


@pytest.mark.parametrize("mode", [MODES.NEXT_STEP, MODES.SAME_STEP])
def test_autoreset_goes_on_after_a_masked_reset(mode: Any):
    vector = native(2, mode)
    vector.reset(seed=0)
    options = {"reset_mask": np.array([True, False]), "episode_index": np.array([20, 0])}
    vector.reset(options=options)
    for _ in range(4):
        vector.step(np.array([SUBMIT, SUBMIT]))
    played = vector.engine.episodes["index"].tolist()
    assert played == ([24, 4] if mode == MODES.SAME_STEP else [22, 2])


def test_without_a_seed_the_streams_differ_between_environments():
    first, second = (native().reset()[1]["stream"] for _ in range(2))
    assert (np.diff(first) == 1).all()
    assert first[0] != second[0]


@pytest.mark.parametrize("mode", [MODES.NEXT_STEP, MODES.SAME_STEP])
def test_gymnasiums_episode_statistics_agree_with_those_in_the_infos(mode: Any):
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(native(8, mode))
    vector.reset(seed=0)
    generator = np.random.default_rng(0)
    seen = 0
    for _ in range(60):
        actions = generator.integers(0, (8, 8, 7), (8, 3))
        infos = vector.step(actions)[4]
        if "episode" not in infos:
            continue
        ended = infos["_episode"]
        seen += int(ended.sum())
        mine = infos["final_info"] if mode == MODES.SAME_STEP else infos
        np.testing.assert_array_equal(mine["_episode_return"], ended)
        np.testing.assert_allclose(
            mine["episode_return"][ended], infos["episode"]["r"][ended], atol=1e-9
        )
        np.testing.assert_array_equal(mine["episode_length"][ended], infos["episode"]["l"][ended])
    assert seen > 30


def test_what_was_returned_never_changes_afterwards():
    vector = native(4, MODES.SAME_STEP)
    rows, _ = vector.reset(seed=0)
    kept = {name: array.copy() for name, array in rows.items()}
    step = vector.step(np.tile(SUBMIT, (4, 1)))
    rewards = step[1].copy()
    vector.step(np.tile(SOLVE, (4, 1)))
    vector.reset()
    assert_same(rows, kept)
    np.testing.assert_array_equal(step[1], rewards)


def test_rendering_tells_each_slots_episode():
    vector = native(2, render_mode="ansi")
    vector.reset(seed=0)
    vector.step(np.array([SOLVE, SUBMIT]))
    first, second = vector.render()
    assert "solve" in first
    assert "submit" in second


@pytest.mark.parametrize("n", [0, -1, 2**20 + 1, 1.5, "8"])
def test_a_number_of_environments_that_makes_no_sense_is_refused(n: Any):
    with pytest.raises(ConfigError, match=r"num_envs must be a whole number in \[1, 1048576\]"):
        ConductorVectorEnv(n)


@pytest.mark.parametrize(
    "actions",
    [
        np.zeros((2, 3), np.int64),
        np.zeros(3, np.int64),
        np.zeros((3, 3)),
        np.zeros((3, 3), bool),
        None,
        [[0, 0, 0], [0, 0], [0, 0, 0]],
        np.array([SOLVE, [8, 0, 0], SOLVE]),
        np.array([SOLVE, SOLVE, [0, -1, 0]]),
        np.array([SOLVE, SOLVE, [0, 0, 7]], np.uint8),
    ],
)
def test_actions_that_are_none_move_nothing_and_the_error_says_what_was_expected(actions: Any):
    vector = native()
    vector.reset(seed=0)
    before = vector.engine.episodes.tobytes()
    with pytest.raises(InvalidActionError, match=r"worker slot 0\.\.7, subtask 0\.\.7"):
        vector.step(actions)
    assert vector.engine.episodes.tobytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reset_mask": np.ones(2, bool)}, r"bool array of shape \(3,\), got bool of shape \(2,\)"),
        ({"reset_mask": [True, True, True]}, r"bool array of shape \(3,\), got \[True"),
        ({"reset_mask": np.ones(3, int)}, r"bool array of shape \(3,\), got int64"),
        ({"reset_mask": np.zeros(3, bool)}, "names no slot"),
        ({"episode_index": np.zeros(2, int)}, r"shape \(3,\), got int64 of shape \(2,\)"),
        ({"episode_index": np.zeros(3)}, "got float64"),
        ({"episode_index": np.array([0, -1, 0])}, r"must lie in \[0, "),
        ({"episode_index": -1}, "whole number"),
    ],
)
def test_reset_options_that_cannot_be_are_refused_and_nothing_moves(
    options: dict[str, Any], said: str
):
    vector = native()
    vector.reset(seed=0)
    before = vector.engine.episodes.tobytes()
    with pytest.raises(ConfigError, match=said):
        vector.reset(seed=5, options=options)
    assert vector.engine.episodes.tobytes() == before


def test_names_that_do_not_exist_name_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'reset_mask'"):
        native().reset(options={"resetmask": np.ones(3, bool)})
    with pytest.raises(UnknownNameError, match="Did you mean 'cost_weight'"):
        native(cost_wieght=0.1)
    with pytest.raises(UnknownNameError, match="Did you mean 'NextStep'"):
        ConductorVectorEnv(2, autoreset_mode="next_step")
    with pytest.raises(UnknownNameError, match="unknown render_mode 'rgb'"):
        ConductorVectorEnv(2, render_mode="rgb")


@pytest.mark.parametrize("seed", [-1, 2**62, 1.0, [0, 1], [0, 1, -2]])
def test_seeds_that_cannot_be_are_refused(seed: Any):
    with pytest.raises(ConfigError, match="seed"):
        native().reset(seed=seed)


def test_stepping_what_is_over_says_how_to_go_on():
    vector = native(3, MODES.DISABLED)
    with pytest.raises(EpisodeOverError, match=r"call reset\(\) first"):
        vector.step(np.tile(SOLVE, (3, 1)))
    with pytest.raises(ConfigError, match="reset all first"):
        vector.reset(options={"reset_mask": np.array([True, False, False])})
    vector.reset(seed=0)
    vector.step(np.array([SOLVE, SUBMIT, SOLVE]))
    with pytest.raises(EpisodeOverError, match="the first is slot 1"):
        vector.step(np.tile(SOLVE, (3, 1)))


def test_an_action_that_is_none_is_told_with_its_slot_and_does_not_wrap_around():
    vector = native()
    vector.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"action \(0, 99, 0\) of slot 1 is out of range"):
        vector.step(np.array([SOLVE, [0, 99, 0], SOLVE]))
    with pytest.raises(InvalidActionError, match=r"action \(4611686018427387904, 0, 0\)"):
        vector.step(np.array([[2**63, 0, 0], SOLVE, SOLVE], np.uint64))


@pytest.mark.parametrize("make", [native, ConductorEnv])
def test_options_that_are_no_dictionary_are_refused(make: Any):
    with pytest.raises(ConfigError, match="options must be a dictionary, got 5"):
        make().reset(options=5)
