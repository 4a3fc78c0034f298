"""A worker's price comes from its card or from LiteLLM's table, and is never zero by silence."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from conductor_gym.errors import DataFileError
from conductor_gym.workers.pool import load_pool
from conductor_gym.workers.prices import list_price
from conductor_gym.workers.tables import worker_table

PRICED = "usd_per_m_input = 3\nusd_per_m_output = 9\n"


def _pool(folder: Path, model: str, prices: str = "", client: str = "litellm") -> Path:
    path = folder / "pool.toml"
    path.write_text(
        f"""
name = "mine"
title = "mine"
backend = "live"
prices_as_of = "unknown"
output_cap = {{ value = 100, source = "published" }}
overhead_tokens = {{ value = 10, source = "published" }}

[[workers]]
uid = "w"
name = "w"
window = 4096
source = "published"
note = "a card"
{prices}
[workers.live]
client = "{client}"
model = "{model}"
base_url = "http://127.0.0.1:1/v1"
""",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("model", ["gpt-5", "openai/gpt-5"])
def test_a_worker_without_price_gets_that_of_litellms_table_and_says_so(tmp_path: Path, model: str):
    (card,) = load_pool(str(_pool(tmp_path, model))).workers
    assert (card.usd_per_m_input, card.usd_per_m_output) == (1.25, 10.0)
    assert card.note == f"a card; prices of {model} from the table of LiteLLM {version('litellm')}"
    row = worker_table(load_pool(str(_pool(tmp_path, model))))[0]
    assert (row["price_in"], row["price_out"]) == (1_250_000, 10_000_000)


def test_the_cards_own_price_is_kept(tmp_path: Path):
    (card,) = load_pool(str(_pool(tmp_path, "gpt-5", PRICED))).workers
    assert (card.usd_per_m_input, card.usd_per_m_output, card.note) == (3.0, 9.0, "a card")


@pytest.mark.parametrize(
    "model",
    ["openai/no-such-model", "anthropic/gpt-5", "text-embedding-3-small", "", "claude-sonnet-4"],
)
def test_a_model_without_price_is_an_error_that_says_what_to_write(tmp_path: Path, model: str):
    with pytest.raises(DataFileError) as error:
        load_pool(str(_pool(tmp_path, model)))
    for words in ("workers.0", repr(model), "usd_per_m_input and usd_per_m_output"):
        assert words in str(error.value)


@pytest.mark.parametrize("prices", ["usd_per_m_input = 3\n", "usd_per_m_output = 9\n"])
def test_half_a_price_is_an_error(tmp_path: Path, prices: str):
    with pytest.raises(DataFileError, match="Field required"):
        load_pool(str(_pool(tmp_path, "gpt-5", prices)))


def test_only_workers_that_litellm_reaches_may_leave_prices_out(tmp_path: Path):
    with pytest.raises(DataFileError, match=r"workers\.0\.usd_per_m_input"):
        load_pool(str(_pool(tmp_path, "gpt-5", client="openai")))


def test_a_higher_rate_for_long_inputs_is_noted():
    assert "base rate (it states a higher one above" in list_price("gemini-2.5-pro").note


def test_looking_a_price_up_imports_no_litellm():
    code = (
        "import sys; from conductor_gym.workers.prices import list_price;"
        "print(list_price('gpt-5').usd_per_m_output, 'litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10.0", "False"]
