"""A conductor through vLLM beside raw vLLM on the same prompts, in vLLM's own environment.

VLLM_PYTHON tests/llm_run.py MODEL [--episodes 1000] [--batch 1000]

Plays MODEL (a chat model, or a conductor with adapters) on the simulated track `standard`, keeps
the prompts of every step, and then gives the same prompts with the same limits on a reply to vLLM
alone. Prints both speeds and their ratio.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:  # vLLM's own processes import this file again, and must not find numba then
    from conductor_gym.agents.llm_engines.protocol import Chat, Reply
    from conductor_gym.agents.llm_engines.vllm_engine import VLLMEngine
    from conductor_gym.language.grammar import Grammar

TRACK = "standard"


class Noted:
    """An engine that keeps what it was asked.

    Args:
        engine: What answers.
    """

    def __init__(self, engine: "VLLMEngine") -> None:
        self.engine = engine
        self.asked: list[tuple[list[Chat], list[Grammar] | None, int]] = []
        self.tokens = 0

    def count(self, chat: "Chat") -> int:
        """See `LanguageEngine.count`."""
        return self.engine.count(chat)

    def reply(
        self, chats: "Sequence[Chat]", grammars: "Sequence[Grammar] | None", most: int
    ) -> "list[Reply]":
        """See `LanguageEngine.reply`."""
        self.asked.append((list(chats), None if grammars is None else list(grammars), most))
        replies = self.engine.reply(chats, grammars, most)
        self.tokens += sum(reply.tokens_in + reply.tokens_out for reply in replies)
        return replies

    def close(self) -> None:
        """See `LanguageEngine.close`."""
        self.engine.close()


def raw(engine: "VLLMEngine", noted: Noted) -> tuple[int, float]:
    """Tokens and seconds of vLLM alone on the same prompts, step by step as they were asked."""
    from conductor_gym.agents.llm_engines.templates import encode_chat

    model: Any = engine.model
    rounds = [
        (
            [{"prompt_token_ids": encode_chat(model.get_tokenizer(), chat)} for chat in chats],
            engine.sampling(grammars, most, len(chats)),
        )
        for chats, grammars, most in noted.asked
    ]
    model.reset_prefix_cache()
    tokens, began = 0, time.perf_counter()
    for prompts, sampling in rounds:
        for one in model.generate(prompts, sampling, use_tqdm=False, lora_request=engine.lora):
            tokens += len(one.prompt_token_ids) + len(one.outputs[0].token_ids)
    return tokens, time.perf_counter() - began


def main() -> int:
    """Measure and print."""
    from conductor_gym.agents.llm import LLMConductor
    from conductor_gym.leaderboard.evaluate import play
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.reward import HEADLINE_COST_WEIGHT

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=1000)
    given = parser.parse_args()
    track = find_track(TRACK)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "conductor.toml"
        settings.write_text(f'engine = "vllm"\nmodel = {json.dumps(given.model)}\n')
        agent = LLMConductor(track.setting(HEADLINE_COST_WEIGHT), settings)
    noted = Noted(agent.engine)  # pyright: ignore[reportArgumentType]
    agent.engine = noted
    play(agent, track.evaluation(HEADLINE_COST_WEIGHT), 2, batch=2)  # compiled now
    noted.asked.clear()
    noted.tokens = 0
    noted.engine.model.reset_prefix_cache()
    began = time.perf_counter()
    played = play(agent, track.evaluation(HEADLINE_COST_WEIGHT), given.episodes, given.batch)
    ours_s = time.perf_counter() - began
    tokens, raw_s = raw(noted.engine, noted)
    ours, alone = noted.tokens / ours_s, tokens / raw_s
    print(
        f"{given.episodes} episodes, {sum(map(len, played.decisions))} decisions, "
        f"{int(played.invalid.sum())} invalid: ours {ours:,.0f} tokens/s ({ours_s:.1f} s), raw "
        f"vLLM {alone:,.0f} tokens/s ({raw_s:.1f} s), ratio {ours / alone:.3f}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
