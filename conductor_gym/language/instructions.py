"""What a language model is told first, from prompts.toml."""

import tomllib
from functools import cache
from pathlib import Path

from conductor_gym.language.offer import Offer
from conductor_gym.language.options import LanguageOptions

PROMPTS_FILE = Path(__file__).with_name("prompts.toml")


@cache
def prompts() -> dict[str, str]:
    """All texts, by name."""
    return tomllib.loads(PROMPTS_FILE.read_text(encoding="utf-8"))


def instructions(options: LanguageOptions, offer: Offer) -> str:
    """The first message of a chat.

    Args:
        options: How episodes are told.
        offer: What can be chosen.
    """
    del offer
    if not options.instructed:
        return prompts()["brief"]
    return prompts()[options.interface] + (prompts()["again"] if options.rounds > 1 else "")
