"""Episodes for trainers: they pay what the environments pay, and tell whose tokens are whose."""

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_llm import small_llm

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError, EpisodeOverError
from conductor_gym.language.episode_tokens import ChatTokens, episode_tokens
from conductor_gym.language.grammar import valid_lines
from conductor_gym.language.lines import Line, as_action
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.parse import parse_action
from conductor_gym.language.rollouts import Rollouts

CONFIG = EnvConfig(cost_weight=0.05)
BRIEF = LanguageOptions(instructed=False, query_characters=80)
NONSENSE = "no idea"


@cache
def tokenizer() -> Any:
    """Of the small LLM."""
    import transformers

    library: Any = transformers
    return library.AutoTokenizer.from_pretrained(small_llm())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.lists(st.integers(0, 10_000), min_size=12, max_size=12))
def test_a_written_episode_pays_what_the_same_actions_pay(index: int, picks: list[int]) -> None:
    rollouts = Rollouts(CONFIG, BRIEF, 1)
    dialogue: Any = rollouts.start([7], [index])[0]
    numeric = gym.make("conductor_gym:Conductor-v0", cost_weight=0.05)
    numeric.reset(seed=7, options={"episode_index": index})
    for pick in picks:
        lines = valid_lines(dialogue.offer)
        text = lines[pick % len(lines)]
        line = parse_action(text, dialogue.offer)
        assert isinstance(line, Line)
        turn = rollouts.step([text])
        _, reward, over, _, info = numeric.step(np.array(as_action(line, dialogue.offer)))
        assert (turn.rewards[0], bool(turn.over[0])) == (reward, over)
        if over:
            assert (turn.quality[0], turn.dialogues) == (info["quality"], [None])
            assert turn.utility[0] == pytest.approx(info["utility"], abs=1e-12)
            return
        dialogue = turn.dialogues[0]


def test_the_text_environment_pays_the_same() -> None:
    texts = ["solve 2", "please verify with worker 0", NONSENSE, "submit"]
    rollouts = Rollouts(CONFIG, BRIEF, 1)
    rollouts.start([3], [5])
    env = gym.make(
        "conductor_gym:ConductorText-v0", cost_weight=0.05, instructed=False, query_characters=80
    )
    env.reset(seed=3, options={"episode_index": 5})
    for text in texts:
        turn = rollouts.step([text])
        _, reward, over, _, _ = env.step(text)
        assert (turn.rewards[0], bool(turn.over[0])) == (reward, over)


@pytest.mark.parametrize("interface", ["text", "workflow"])
def test_the_same_stream_and_index_is_the_same_episode(interface: Any) -> None:
    options = LanguageOptions(interface=interface, shuffled=True)
    rollouts = Rollouts(EnvConfig(), options, 4)
    dialogues = rollouts.start([9, 9, 9, 10], [4, 4, 4, 4])
    assert len({dialogue.text() for dialogue in dialogues[:3]}) == 1
    assert dialogues[3].text() != dialogues[0].text()
    assert len(set(rollouts.uids()[:3])) == 1
    turn = rollouts.step(["solve 1"] * 4)
    assert len(set(turn.rewards[:3].tolist())) == 1


def test_what_holds_no_workflow_is_an_invalid_action_that_ends_the_episode() -> None:
    rollouts = Rollouts(CONFIG, LanguageOptions(interface="workflow"), 2)
    rollouts.start([0, 0], [0, 1])
    turn = rollouts.step([NONSENSE, "solve 2\nsolve 0\naggregate 2 sees 1,2"])
    assert turn.over.all()
    assert (turn.rewards[0], turn.invalid.tolist()) == (-0.01, [1, 0])
    assert turn.rewards[1] == pytest.approx(turn.utility[1])


def test_a_running_episode_needs_a_text_and_n_episodes_n_streams() -> None:
    rollouts = Rollouts(CONFIG, BRIEF, 2)
    with pytest.raises(ConfigError, match="2 episodes take as many streams"):
        rollouts.start([0], [0])
    rollouts.start([0, 0], [0, 1])
    with pytest.raises(EpisodeOverError, match="episode 1 is not over"):
        rollouts.step(["submit", None])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), st.booleans())
def test_the_mask_covers_the_replies_and_nothing_else(picks: list[int], instructed: bool) -> None:
    chat = ChatTokens(tokenizer())
    rollouts = Rollouts(CONFIG, LanguageOptions(instructed=instructed, query_characters=80), 1)
    dialogue: Any = rollouts.start([1], [picks[0]])[0]
    for pick in picks:
        lines = valid_lines(dialogue.offer)
        turn = rollouts.step([lines[pick % len(lines)]])
        if turn.over[0]:
            break
        dialogue = turn.dialogues[0]
    whole = rollouts.dialogue(0)
    episode = episode_tokens(whole, chat)
    said = [m.content for m in whole.messages if m.role == "assistant"]
    masked = [token for token, own in zip(episode.ids, episode.mask, strict=True) if own]
    assert tokenizer().decode(masked) == "".join(f"{text}<|im_end|>" for text in said)
    assert not any(episode.mask[: episode.prompt])
    # The same tokens as those of the chat in one piece, which is what a policy reads.
    messages = [message._asdict() for message in whole.messages[:-1]]
    text = tokenizer().apply_chat_template(messages, tokenize=False)
    once = tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert once[: len(episode.ids)] == episode.ids


def test_a_template_that_rewrites_what_was_said_is_refused() -> None:
    from copy import deepcopy

    forgetful = deepcopy(tokenizer())
    forgetful.chat_template = (
        "{% for m in messages %}{% if m['role'] != 'assistant' or loop.last %}"
        "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    with pytest.raises(ConfigError, match="changes what stood before"):
        ChatTokens(forgetful)
    forgetful.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        ChatTokens(forgetful)
