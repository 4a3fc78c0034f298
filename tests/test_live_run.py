"""`make live` serves what is there, and says what is wrong before it waits for anything."""

import socket
import sys
import time
import tomllib
from pathlib import Path

import pytest
import tomli_w
from live_run import served_pool
from vllm_server import Served, vllm_servers

from conductor_gym.workers.pool import load_pool


def write_pool(folder: Path, *names: str) -> str:
    """A file with the workers of the shipped pool under other names, each of its own provider."""
    shipped = load_pool("small-llms").model_dump(exclude_none=True)
    cards = [
        worker
        | {"name": name, "uid": name, "provider": f"host-{name}"}
        | {"live": worker["live"] | {"model": name}}
        for worker, name in zip(shipped["workers"], names, strict=False)
    ]
    limits = {f"host-{name}": {"concurrent": 48} for name in names}
    head = ("title", "prices_as_of", "output_cap", "overhead_tokens")
    said = {name: shipped[name] for name in head}
    said |= {"name": "p", "backend": "live", "workers": cards, "limits": limits}
    path = folder / "pool.toml"
    path.write_text(tomli_w.dumps(said))
    return str(path)


def test_each_model_is_served_where_its_worker_expects_it(tmp_path: Path):
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    pool = write_pool(tmp_path, "small", "large")
    assert served_pool(pool, tmp_path, tmp_path) == (
        pool,
        [
            Served(tmp_path / "small", "small", 8101),
            Served(tmp_path / "large", "large", 8102),
        ],
    )


def test_workers_whose_model_is_absent_are_left_out_of_a_copy(tmp_path: Path):
    (tmp_path / "large").mkdir()
    pool, models = served_pool(write_pool(tmp_path, "small", "large"), tmp_path, tmp_path)
    assert [model.name for model in models] == ["large"]
    left = tomllib.loads(Path(pool).read_text())
    assert [worker["name"] for worker in left["workers"]] == ["large"]
    assert set(left["limits"]) == {"host-large"}
    with pytest.raises(SystemExit, match="no model of pool"):
        served_pool(write_pool(tmp_path, "other"), tmp_path, tmp_path)


def test_an_environment_without_vllm_fails_at_once_with_the_reason(tmp_path: Path):
    start = time.monotonic()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = [Served(tmp_path, "small", port)]
    with (
        pytest.raises(RuntimeError, match="No module named"),
        vllm_servers(Path(sys.executable), served, tmp_path),
    ):
        pytest.fail("nothing is served")
    assert time.monotonic() - start < 30.0


def test_a_port_that_another_server_has_is_not_taken_for_ours(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        served = [Served(tmp_path, "small", other.getsockname()[1])]
        with (
            pytest.raises(RuntimeError, match="is taken"),
            vllm_servers(Path(sys.executable), served, tmp_path),
        ):
            pytest.fail("nothing is served")
