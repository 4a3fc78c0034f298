"""vLLM servers on this machine's CPU, from an environment of their own."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

START_S = 900.0
STOP_S = 20.0
LENGTH = 4096
"""Tokens of prompt and reply together: 1 GB of keys and values holds many such chats."""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


class Served(NamedTuple):
    """A model and where it answers.

    Attributes:
        folder: Of the model in Hugging Face's form.
        name: In requests.
        port: On 127.0.0.1.
    """

    folder: Path
    name: str
    port: int


@contextmanager
def vllm_servers(python: Path, models: Sequence[Served], logs: Path) -> Generator[None]:
    """Serve models while the context lasts; they start at the same time, about a minute each.

    Args:
        python: Of an environment with `vllm-cpu`.
        models: One server each.
        logs: Folder that gets a log for each, NAME.log.

    Raises:
        RuntimeError: One did not start; the message has the end of its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        started = [
            (model, stack.enter_context(_server(python, model, logs / f"{model.name}.log")))
            for model in models
        ]
        for model, process in started:
            _wait(model, process, logs / f"{model.name}.log")
        yield


@contextmanager
def _server(python: Path, model: Served, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Start a server with its helpers in a process group of their own; stop that group."""
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(model.folder), "--served-model-name", model.name]
    command += ["--host", "127.0.0.1", "--port", str(model.port), "--dtype", "bfloat16"]
    command += ["--max-model-len", str(LENGTH), "--enforce-eager", "--max-num-seqs", "48"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **ENVIRONMENT},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _wait(model: Served, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + START_S
    while not _is_healthy(model.port):
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"vLLM did not start for {model.name}; the end of {log}:\n{said}")
        time.sleep(1.0)


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5.0) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group that was started here: politely, then for good."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
