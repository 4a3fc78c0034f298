"""Worked examples that a conductor may be told, from llm_examples.toml."""

import tomllib
from functools import cache
from pathlib import Path

from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.language.options import Interface

EXAMPLES_FILE = Path(__file__).with_name("llm_examples.toml")


@cache
def _sections() -> dict[str, dict[str, str]]:
    return tomllib.loads(EXAMPLES_FILE.read_text(encoding="utf-8"))


def examples(name: str, interface: Interface) -> str:
    """The text of some examples.

    Args:
        name: Section of the file; empty: none.
        interface: For which they must be.

    Raises:
        UnknownNameError: No such section.
        ConfigError: One for another interface.
    """
    if not name:
        return ""
    if name not in _sections():
        raise unknown_name("examples", name, _sections())
    section = _sections()[name]
    if section["interface"] != interface:
        raise ConfigError(f"examples {name!r} are for interface {section['interface']!r}.")
    return section["text"]
