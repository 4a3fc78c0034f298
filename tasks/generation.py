"""Run the generators of a suite in child processes, with a progress bar and a time limit."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import Any

from conductor_gym.errors import DataFileError
from conductor_gym.tasks.generate import GenerationError, Order
from conductor_gym.tasks.multi_part import make_multi_part_rows
from conductor_gym.tasks.text_card import GeneratorCard

PROCESSES = 2

Rows = list[dict[str, Any]]


def generate(suite: str, card: GeneratorCard) -> Rows:
    """All rows: of datasets and families in the order of the card, then multi-part ones.

    Args:
        suite: Name of the suite, for the progress bar.
        card: What to make.

    Raises:
        DataFileError: A dataset or family that fails or takes too long.
    """
    from rich.console import Console
    from rich.progress import Progress

    orders = card.orders()
    idle: SimpleQueue[_Child] = SimpleQueue()
    children = [_Child() for _ in range(min(PROCESSES, os.cpu_count() or 1))]
    for child in children:
        idle.put(child)

    def make(order: Order) -> Rows:
        child = idle.get()
        try:
            return child.ask(order, card.seconds)
        finally:
            idle.put(child)

    console = Console(stderr=True)
    pool = ThreadPoolExecutor(len(children))
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            shown = bar.add_task(f"making {suite}", total=len(orders))
            futures = [pool.submit(make, order) for order in orders]
            for future in as_completed(futures):
                future.result()
                bar.advance(shown)
        rows = [row for future in futures for row in future.result()]
        if card.multi_part is not None:
            try:
                rows += make_multi_part_rows(rows, card.multi_part.order())
            except GenerationError as error:
                raise DataFileError(
                    f"multi-part tasks: {error}. Repair [text.generator.multi_part]."
                ) from None
    finally:
        for child in children:
            child.stop()
        pool.shutdown(cancel_futures=True)
    return rows


class _Child:
    """A process that makes one dataset after another."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "conductor_gym.tasks.generate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            encoding="utf-8",
        )

    def ask(self, order: Order, seconds: float) -> Rows:
        """Rows of one dataset."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            if self._process.stdin is None or self._process.stdout is None:
                line = ""
            else:
                print(json.dumps(order), file=self._process.stdin, flush=True)
                line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        name = order["name"]
        if late.is_set():
            raise DataFileError(
                f"dataset {name!r} took longer than {seconds:g} s. Raise `seconds` in the suite's "
                "file, make it easier or leave it out."
            )
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise DataFileError(
                f"dataset {name!r} failed: {answer['error']}. Repair its settings in the suite's "
                "file, or leave it out."
            )
        return answer["rows"]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
