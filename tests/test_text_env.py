"""`ConductorText-v0` as users meet it: the episodes of `Conductor-v0`, in words."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from text_suites import pool_of, row, write_rows

from conductor_gym.errors import ConfigError, EpisodeOverError, InvalidActionError, UnknownNameError
from conductor_gym.language.lines import as_line, write_line
from conductor_gym.language.space import AnyText
from conductor_gym.live.messages import Message
from conductor_gym.text_env import ConductorTextEnv

gym: Any = gymnasium
PAPER: dict[str, Any] = {"pool": "paper", "suite": "paper-v1"}
ALSO_TOLD = ("messages", "action", "refusal")


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A pool and a suite with text."""
    folder = tmp_path_factory.mktemp("sums")
    rows = [row(i, split="train", domain="math", reference=str(2 * i)) for i in range(6)]
    return {
        "pool": pool_of(folder, ["math"]),
        "suite": write_rows(folder / "sums.jsonl", rows),
        "cost_weight": 0.1,
    }


@pytest.fixture(scope="module")
def pair() -> tuple[Any, dict[bool, Any]]:
    """The numeric environment, and the text environment by whether workers are shuffled."""
    numeric = gym.make("Conductor-v0", **PAPER).unwrapped
    return numeric, {s: gym.make("ConductorText-v0", shuffled=s, **PAPER) for s in (False, True)}


@pytest.mark.parametrize("settings", [{}, {"workers": "anonymous", "hidden": ["query"]}])
@pytest.mark.parametrize("render_mode", [None, "ansi", "human"])
def test_gymnasiums_checker_finds_nothing(
    sums: dict[str, Any], settings: dict[str, Any], render_mode: str | None
):
    env = gym.make("ConductorText-v0", render_mode=render_mode, **sums, **settings)
    assert not env.spec.nondeterministic
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


actions = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 7), st.integers(0, 6)), min_size=1, max_size=10
)


@given(st.integers(0, 2**40), st.integers(0, 10_000), actions, st.booleans())
@settings(max_examples=60)
def test_the_same_actions_give_the_same_episode_as_in_numbers(
    pair: Any, seed: int, index: int, actions: list[tuple[int, int, int]], shuffled: bool
):
    numeric, texts = pair
    text = texts[shuffled]
    options = {"episode_index": index}
    _, told = numeric.reset(seed=seed, options=options)
    _, info = text.reset(seed=seed, options=options)
    assert {k: v for k, v in info.items() if k not in ALSO_TOLD} == told
    for action in actions:
        offer = text.unwrapped.dialogue.offer
        said = write_line(as_line(action, offer), offer.levels)
        _, reward, over, _, told = numeric.step(np.array(action))
        _, same, ended, truncated, info = text.step(said)
        assert (same, ended, truncated) == (reward, over, False)
        assert {k: v for k, v in info.items() if k not in ALSO_TOLD} == told
        assert (info["action"], info["refusal"]) == (said, None)
        if over:
            break


def test_a_text_without_an_action_spends_the_step_and_says_why(sums: dict[str, Any]):
    env = gym.make("ConductorText-v0", **sums)
    env.reset(seed=0)
    observation, reward, over, _, info = env.step("I do not know.")
    assert (reward, over, info["invalid"], info["action"]) == (-0.01, False, "unreadable", None)
    assert "reply with one line" in info["refusal"]
    assert observation.endswith("> (unreadable)\n\ninvalid: no action could be read in the text")
    for _ in range(9):
        *_, over, _, info = env.step("\ud800")
    assert over
    assert info["invalid_actions"] == 10
    assert info["episode_return"] == pytest.approx(-0.1)


def test_an_episode_reads_as_one_chat_that_only_grows(sums: dict[str, Any]):
    env = gym.make("ConductorText-v0", **sums)
    observation, info = env.reset(seed=3)
    assert "Task (math):\nWhat is" in observation
    assert [m["role"] for m in info["messages"]] == ["system", "user"]
    for reply in ("solve 1", "nonsense", "Action: verify 0 with 1k", "solve 0", "vote", "submit"):
        longer, *_, told = env.step(reply)
        assert longer in env.observation_space
        assert longer.startswith(observation)
        assert told["messages"][: len(info["messages"])] == info["messages"]
        observation, info = longer, told
    said = [m["content"] for m in info["messages"] if m["role"] == "assistant"]
    assert said == ["solve 1", "(unreadable)", "verify 0 1k", "solve 0", "vote", "submit"]
    dialogue = env.unwrapped.dialogue
    assert dialogue.messages == tuple(Message(**m) for m in info["messages"])
    assert dialogue.text() == observation


def test_valid_lines_are_the_actions_that_cost_no_penalty(sums: dict[str, Any]):
    env = gym.make("ConductorText-v0", **sums)
    for index in range(6):
        env.reset(seed=0, options={"episode_index": index})
        for turn in range(3):
            lines = env.unwrapped.valid_lines()
            assert {"submit", "solve 0", "solve 1"} <= set(lines)
            assert ("vote" in lines) == (turn > 0)
            *_, info = env.step(lines[(index + turn) % (len(lines) - 1)])
            assert info["invalid"] is None


def test_samples_are_actions_and_some_are_valid(sums: dict[str, Any]):
    env = gym.make("ConductorText-v0", **sums)
    env.action_space.seed(0)
    env.reset(seed=0)
    broken: list[Any] = []
    for _ in range(60):
        *_, over, _, info = env.step(env.action_space.sample())
        broken.append(info["invalid"])
        if over:
            env.reset()
    assert "unreadable" not in broken
    assert 10 < broken.count(None) < 60


def test_an_action_that_is_no_text_leaves_the_episode_alone(sums: dict[str, Any]):
    env = gym.make("ConductorText-v0", **sums).unwrapped
    with pytest.raises(EpisodeOverError, match="reset"):
        env.step("solve 0")
    with pytest.raises(EpisodeOverError, match="reset"):
        env.valid_lines()
    env.reset(seed=0)
    for action in (np.array([0, 0, 0]), 3, None, b"solve 0"):
        with pytest.raises(InvalidActionError, match="such as 'solve 0'"):
            env.step(action)
    assert env.engine.episodes[0]["steps"] == 0


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"worker": "named"}, UnknownNameError, "Did you mean 'workers'"),
        ({"pol": "paper"}, UnknownNameError, "Did you mean 'pool'"),
        ({"interface": "workflow"}, UnknownNameError, "unknown setting 'interface'"),
        ({"rounds": 2}, UnknownNameError, "unknown setting 'rounds'"),
        ({"workers": "anonymos"}, UnknownNameError, "Did you mean 'anonymous'"),
        ({"hidden": "anwsers"}, UnknownNameError, "Did you mean 'answers'"),
        ({"hidden": 3}, ConfigError, "hidden must be a list"),
        ({"offered": 0}, ConfigError, "offered must be a whole number"),
        ({"render_mode": "rgb"}, UnknownNameError, "Known: ansi, human"),
        ({"pool": "papr"}, UnknownNameError, "Did you mean 'paper'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_repair(given: dict[str, Any], error: Any, said: str):
    with pytest.raises(error) as raised:
        ConductorTextEnv(**given)
    assert said in str(raised.value)


def test_many_episodes_run_side_by_side(sums: dict[str, Any]):
    many = gym.make_vec("ConductorText-v0", 3, vectorization_mode="sync", **sums)
    one = gym.make("ConductorText-v0", **sums)
    first, infos = many.reset(seed=5)
    played = many.step(("solve 0", "solve 1", "what?"))
    for slot, action in enumerate(("solve 0", "solve 1", "what?")):
        observation, info = one.reset(seed=5 + slot)
        assert first[slot] == observation
        assert infos["uid"][slot] == info["uid"]
        observation, reward, *_ = one.step(action)
        assert (played[0][slot], played[1][slot]) == (observation, reward)
    assert many.action_space.contains(many.action_space.sample())
    many.close()


def test_shared_memory_that_would_garble_texts_is_refused(sums: dict[str, Any]):
    with pytest.raises(ValueError, match="shared_memory=False"):
        gym.make_vec("ConductorText-v0", 2, vectorization_mode="async", **sums)


def test_the_space_holds_any_text_up_to_its_length():
    space = AnyText(5)
    for text in ("", "a", "\0\ud800\u202e", "12345"):
        assert text in space
    for other in ("123456", None, 3, b"a", np.array("a")):
        assert other not in space
    assert AnyText(5) == space != AnyText(6)
    assert all(space.sample() in space for _ in range(20))


def test_render_tells_the_episode_to_a_person(
    sums: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    told = gym.make("ConductorText-v0", render_mode="ansi", **sums)
    told.reset(seed=0)
    told.step("solve 0")
    human = gym.make("ConductorText-v0", render_mode="human", **sums)
    human.reset(seed=0)
    human.step("solve 0")
    assert capsys.readouterr().out.strip() == told.render().strip()
