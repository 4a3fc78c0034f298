"""Time of a step by the number of tasks and by the number of workers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from workload import valid_actions

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.tasks.suite import load_suite_card
from conductor_gym.workers.pool import load_pool

SLOTS, STEPS = 1024, 40


def _run(benchmark: Any, kind: str, size: int, config: EnvConfig) -> None:
    engine = Engine(config, SLOTS)
    slots = np.arange(SLOTS, dtype=np.int64)
    first = np.zeros(SLOTS, np.int64)
    generator = np.random.default_rng(0)
    observation = engine.new_observation()
    engine.start(slots, slots, first, observation)
    taken: list[Any] = []
    for _ in range(STEPS):
        taken.append(valid_actions(observation.action_mask, generator))
        engine.step(taken[-1], observation, restart=True)

    def run() -> None:
        engine.start(slots, slots, first, engine.new_observation())
        for actions in taken:
            engine.step(actions, engine.new_observation(), restart=True)

    benchmark.extra_info.update(kind=kind, name=f"{size}", size=size, steps=SLOTS * STEPS)
    benchmark.pedantic(run, rounds=25, warmup_rounds=1)


@pytest.mark.parametrize("size", [100, 1_000, 10_000, 100_000, 300_000])
def test_tasks(benchmark: Any, size: int, tmp_path: Path) -> None:
    card = load_suite_card("paper-v1").model_dump(exclude_none=True)
    card["statistical"]["sizes"] = {"train": size}
    path = tmp_path / "suite.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    _run(benchmark, "tasks", size, EnvConfig(pool="paper", suite=str(path)))


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
def test_workers(benchmark: Any, size: int, tmp_path: Path) -> None:
    card = load_pool("paper").model_dump(exclude_none=True)
    originals = card["workers"]
    copies = [
        worker | {"uid": f"{worker['uid']}-{k}", "name": f"{worker['name']}-{k}"}
        for k in range(-(-size // len(originals)))
        for worker in originals
    ][:size]
    card["workers"] = copies
    for table in (card["accuracy"], *card["output_tokens"]):
        values = table["values"]
        of = {copy["name"]: copy["name"].rsplit("-", 1)[0] for copy in copies}
        table["values"] = {name: values[kind] for name, kind in of.items() if kind in values}
    for table in (card["format_failure"], card["confidence_bias"]):
        table["exceptions"] = {}
    path = tmp_path / "pool.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    config = EnvConfig(pool=str(path), suite="paper-v1", max_workers=max(8, size))
    _run(benchmark, "workers", size, config)
