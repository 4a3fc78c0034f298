"""Steps a second: ours, the peers', and the limit."""

from collections.abc import Callable
from typing import Any

import pytest
import workload
from limit import plain_loop
from workload import Subject

SIZES = {1: 2000, 64: 400, 1024: 60, 8192: 20, 65536: 6}
"""Steps in a round, by the number of environments."""

SUBJECTS: dict[str, Callable[[], Subject]] = {
    "ours, gym.make": lambda: workload.conductor_scalar(5000),
    "ours, SyncVectorEnv, n = 64": lambda: workload.conductor_sync(64, 60),
    "CartPole, gym.make": lambda: workload.cartpole_scalar(10_000),
    "GEM, sync, n = 64": lambda: workload.gem_sync(64, 200),
}
for _n, _steps in SIZES.items():
    SUBJECTS[f"ours, native, n = {_n}"] = lambda n=_n, t=_steps: workload.conductor_vector(n, t)
    SUBJECTS[f"plain loop, n = {_n}"] = lambda n=_n, t=_steps: plain_loop(n, t)
    if 64 <= _n <= 8192:
        SUBJECTS[f"CartPole, native, n = {_n}"] = lambda n=_n: workload.cartpole_vector(n, 200)
        SUBJECTS[f"CartPole, EnvPool, n = {_n}"] = lambda n=_n: workload.envpool_cartpole(n, 60)
SUBJECTS["ours, native, restart in the step, n = 1024"] = lambda: workload.conductor_vector(
    1024, 60, "SameStep"
)


@pytest.mark.parametrize("name", SUBJECTS)
def test_steps(benchmark: Any, name: str) -> None:
    subject = SUBJECTS[name]()
    benchmark.extra_info.update(kind="steps", name=name, steps=subject.steps)
    benchmark.pedantic(subject.run, rounds=25, warmup_rounds=1)
