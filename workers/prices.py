"""Prices of workers that LiteLLM reaches and whose cards state none, from LiteLLM's own table."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

from conductor_gym.errors import MissingExtraError

_TABLE = "model_prices_and_context_window_backup.json"
_PER_MILLION = 1_000_000
_MODES = ("chat", "completion", "responses")


class ListPrice(NamedTuple):
    """Prices of a model.

    Attributes:
        usd_per_m_input: USD per million input tokens.
        usd_per_m_output: USD per million output tokens.
        note: Where they come from.
    """

    usd_per_m_input: float
    usd_per_m_output: float
    note: str


@cache
def _table() -> tuple[str, Mapping[str, Any]]:
    """Version of the installed LiteLLM and its table, read without importing LiteLLM."""
    package = find_spec("litellm")
    if package is None or package.origin is None:
        raise MissingExtraError("looking up prices", "live")
    text = Path(package.origin).with_name(_TABLE).read_text(encoding="utf-8")
    return version("litellm"), cast(Mapping[str, Any], json.loads(text))


def list_price(model: str) -> ListPrice:
    """Look a model up in LiteLLM's table; no network.

    Args:
        model: As LiteLLM writes it: ``gpt-5`` or ``openai/gpt-5``.

    Raises:
        ValueError: The table states no price for it; a price of zero counts as none.
        MissingExtraError: LiteLLM is not installed.
    """
    number, table = _table()
    entry = table.get(model)
    provider, _, rest = model.partition("/")
    if entry is None and rest in table and _provider(table[rest]) == provider:
        entry = table[rest]
    known = cast(Mapping[str, Any], entry or {})
    prices = [known.get(f"{way}_cost_per_token") for way in ("input", "output")]
    usd = [round(p * _PER_MILLION, 6) for p in prices if isinstance(p, int | float)]
    if len(usd) < 2 or not any(usd) or known.get("mode") not in _MODES:
        raise ValueError(
            f"LiteLLM {number} states no price for {model!r}: write usd_per_m_input and "
            "usd_per_m_output (USD per million tokens, 0 if it is free)"
        )
    note = f"prices of {model} from the table of LiteLLM {number}"
    higher = sorted(name for name in known if name.startswith("input_cost_per_token_above_"))
    if higher:
        above = ", ".join(name.removeprefix("input_cost_per_token_above_") for name in higher)
        note += f", base rate (it states a higher one above {above.replace('_', ' ')})"
    return ListPrice(usd[0], usd[1], note)


def _provider(entry: object) -> object:
    return cast(Mapping[str, Any], entry).get("litellm_provider")
