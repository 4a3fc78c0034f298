"""A pool's file becomes a dispatcher, or an error that says what to repair."""

import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from fault_server import MODEL, SECRET, FaultServer
from live_calls import WORST, Memory, asked, request, run

from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError
from conductor_gym.live.build import make_dispatcher
from conductor_gym.live.messages import ChatReply
from conductor_gym.types import Status
from conductor_gym.workers.pool import Pool, load_pool


def _pool(folder: Path, url: str, limits: dict[str, Any] | None = None, **live: Any) -> Pool:
    number = {"value": 100, "source": "published"}
    workers = [
        {
            "uid": uid,
            "name": uid,
            "provider": "lab",
            "usd_per_m_input": 1,
            "usd_per_m_output": 2,
            "window": 4096,
            "source": "published",
            "note": "",
            "live": {"client": "openai", "model": MODEL, "base_url": url, **live},
        }
        for uid in ("a", "b")
    ]
    card = {
        "name": "lab",
        "title": "lab",
        "backend": "live",
        "prices_as_of": "unknown",
        "output_cap": number,
        "overhead_tokens": number,
        "workers": workers,
        "limits": limits or {},
    }
    path = folder / "pool.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return load_pool(str(path))


def test_workers_of_a_pools_file_answer_at_its_prices_and_share_their_providers_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAB_KEY", f" {SECRET}\n")
    with FaultServer(latency_s=0.02) as server:
        pool = _pool(tmp_path, server.url(), {"lab": {"concurrent": 3}}, api_key_env="LAB_KEY")
        journal = Memory()
        of = make_dispatcher(pool, journal, ceiling_usd=1.0)
        calls = [request(str(k), uid) for k in range(6) for uid in ("a", "b")]
        replies = run(asked(of, *calls))
        assert server.most_at_once == 3
    for reply in replies:
        assert isinstance(reply, ChatReply)
        # 10 input tokens at 1 USD and 5 output tokens at 2 USD per million.
        assert (reply.status, reply.cost) == (Status.OK, 20_000)
    assert of.progress().spent == 12 * 20_000
    assert len(journal.replies) == 12


def test_concurrent_holds_for_providers_whose_limits_are_not_stated(tmp_path: Path):
    with FaultServer(latency_s=0.02) as server:
        of = make_dispatcher(_pool(tmp_path, server.url()), None, None, concurrent=2)
        run(asked(of, *(request(str(k), "a") for k in range(6))))
        assert server.most_at_once == 2


def test_what_the_journal_holds_counts_against_the_ceiling(tmp_path: Path):
    pool = _pool(tmp_path, "http://127.0.0.1:9/v1")
    of = make_dispatcher(pool, None, ceiling_usd=1.0, spent=10**9 - WORST + 1)
    (error,) = run(asked(of, request("x", "a")))
    assert "0.999999001 USD are spent" in str(error)


@pytest.mark.parametrize("value", [None, "", "  ", "sk-with space", "sk-\u00e9", "sk-a\nb"])
def test_a_missing_or_impossible_key_is_told_by_the_name_of_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
):
    monkeypatch.delenv("LAB_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("LAB_KEY", value)
    pool = _pool(tmp_path, "http://127.0.0.1:9/v1", api_key_env="LAB_KEY")
    with pytest.raises(ConfigError, match="LAB_KEY") as error:
        make_dispatcher(pool, None, 1.0)
    assert "sk-" not in str(error.value)


@pytest.mark.parametrize("ceiling", [-1.0, float("nan"), float("inf")])
def test_a_ceiling_is_a_number_of_usd(tmp_path: Path, ceiling: float):
    with pytest.raises(ConfigError, match="ceiling"):
        make_dispatcher(_pool(tmp_path, "http://127.0.0.1:9/v1"), None, ceiling)


def test_a_worker_that_cannot_be_reached_is_told():
    with pytest.raises(ConfigError, match=r"\[workers\.live\]"):
        make_dispatcher(load_pool("paper"), None, 1.0)


@pytest.mark.parametrize("field", ["n", "stream", "max_tokens", "api_key", "model"])
def test_extra_fields_cannot_break_the_ceiling_or_hold_keys(tmp_path: Path, field: str):
    with pytest.raises(DataFileError, match=rf"extra must not hold {field}\b"):
        _pool(tmp_path, "http://127.0.0.1:9/v1", extra={field: 2})


@pytest.mark.parametrize("package", ["tenacity", "aiohttp"])
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    for name in list(sys.modules):
        ours = name.startswith("conductor_gym.live.")
        if ours and name.rsplit(".")[-1] in ("attempts", "dispatcher", "openai_client"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[live\]"):
        make_dispatcher(_pool(tmp_path, "http://127.0.0.1:9/v1"), None, 1.0)
