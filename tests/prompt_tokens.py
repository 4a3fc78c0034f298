"""Lengths of an LLM conductor's prompts in tokens, while a good agent plays.

python tests/prompt_tokens.py FOLDER [EPISODES]   a Markdown table, by the folder's tokenizer
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.registry import make_agent
from conductor_gym.engine import Engine
from conductor_gym.language.dialogue import dialogue_of
from conductor_gym.language.options import LanguageOptions
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.live.messages import Message

BUDGET = 1024
"""Tokens of a prompt that the paper allows."""
COST_WEIGHT = 0.05
AGENTS = ("divide", "roles")
TRACKS = ("standard", "small-llms@small-llms-v1@train@simulated")
CHARACTERS = (400, 800, 1000, 1200, 1600, 3200, 1_000_000)
TOLD = {
    "text": LanguageOptions(),
    "text, rules not told": LanguageOptions(instructed=False),
    "workflow": LanguageOptions(interface="workflow"),
    "workflow, rules not told": LanguageOptions(interface="workflow", instructed=False),
}


@dataclass(frozen=True)
class Lengths:
    """Tokens, one entry an episode.

    Attributes:
        first: int64 [episodes], prompt of the first step.
        longest: int64 [episodes], prompt of the last step.
        whole: int64 [episodes], everything, with what was said last.
    """

    first: npt.NDArray[np.int64]
    longest: npt.NDArray[np.int64]
    whole: npt.NDArray[np.int64]


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder."""
    from transformers import AutoTokenizer

    library: Any = AutoTokenizer
    return library.from_pretrained(str(folder))


def tokens(tokenizer: Any, messages: tuple[Message, ...], prompt: bool = True) -> int:
    """Tokens of a chat, with the opening of the reply where it is a prompt."""
    rows = [{"role": message.role, "content": message.content} for message in messages]
    text = tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=prompt)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def measure(
    tokenizer: Any, track: str, agent: str, told: LanguageOptions, episodes: int
) -> Lengths:
    """Play episodes 0..N-1 of stream 0 of the track's train split, and measure what is read.

    Args:
        tokenizer: Of the model that would read.
        track: As for `find_track`.
        agent: Who plays.
        told: How episodes are told.
        episodes: N.
    """
    setting = find_track(track).setting(COST_WEIGHT)
    engine = Engine(replace(setting.train, cost_weight=COST_WEIGHT), episodes)
    player, observation = make_agent(agent, setting), engine.new_observation()
    slots = np.arange(episodes, dtype=np.int64)
    engine.start(slots, np.zeros(episodes, np.int64), slots, observation)
    prompts = [[tokens(tokenizer, dialogue_of(engine, i, told).messages)] for i in range(episodes)]
    while len(live := np.flatnonzero(engine.episodes["over"] == 0)):
        seen = {name: array[live] for name, array in observation._asdict().items()}
        actions = np.zeros((episodes, 3), np.int64)
        actions[live] = player.act(seen)
        engine.step(actions, observation)
        for i in live:
            ended = engine.episodes[i]["over"] != 0
            messages = dialogue_of(engine, int(i), told).messages
            # What came of the last action is read by nobody.
            count = (
                tokens(tokenizer, messages[:-1], False) if ended else tokens(tokenizer, messages)
            )
            prompts[i].append(count)
    return Lengths(
        np.array([told[0] for told in prompts]),
        np.array([told[-2] for told in prompts]),
        np.array([told[-1] for told in prompts]),
    )


def row(values: npt.NDArray[np.int64]) -> str:
    """Median, 99th percentile, maximum and share above the budget."""
    half, most = (int(np.quantile(values, at, method="higher")) for at in (0.5, 0.99))
    return f"{half} / {most} / {values.max()} | {100 * np.mean(values > BUDGET):.2g} %"


def main(folder: str, episodes: str = "1000") -> None:
    """Print two tables: by interface and agent, then by how much of a task is shown."""
    tokenizer = load_tokenizer(Path(folder))
    print(
        "| suite | told as | agent | first prompt | above | last prompt | above | whole | above |"
    )
    print("| :-- | :-- | :-- " + "| --: " * 6 + "|")
    for track in TRACKS:
        for name, told in TOLD.items():
            for agent in AGENTS if told.interface == "text" else AGENTS[:1]:
                found = measure(tokenizer, track, agent, told, int(episodes))
                columns = [row(found.first)]
                if told.interface == "text":
                    columns += [row(found.longest), row(found.whole)]
                suite = find_track(track).suite
                print(f"| {suite} | {name} | {agent} | {' | '.join(columns)} |", flush=True)
    print("\n| query_characters | first prompt | above | last prompt | above |")
    print("| --: " * 5 + "|")
    for most in CHARACTERS:
        told = LanguageOptions(query_characters=most)
        found = measure(tokenizer, TRACKS[0], "roles", told, int(episodes))
        print(f"| {most:,} | {row(found.first)} | {row(found.longest)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
