"""Print how many keyed draws a step of a random valid policy makes, restarts included.

The compiled loops run as plain Python here, with a generator that counts. The draws that a block
makes for all its lanes together are counted only where a call reads them.
"""

from typing import Any

import numpy as np
from workload import valid_actions

from conductor_gym.dynamics import jit

jit.njit = jit.inner_njit = jit.cached_njit = lambda function: function  # pyright: ignore
jit.entry = lambda function, _: function  # pyright: ignore

from conductor_gym.dynamics import keyed  # noqa: E402

SLOTS, BEFORE, STEPS = 128, 4, 8
_threefry: Any = keyed.threefry
_made = 0


def _word(value: Any) -> np.uint64:
    return np.uint64(int(value) % 2**64)


def _counting(*arguments: Any) -> Any:
    global _made
    _made += 1
    return _threefry(*arguments)


keyed.threefry = _counting
keyed._U = _word  # pyright: ignore

from conductor_gym.dynamics import order, transition  # noqa: E402
from conductor_gym.workers import draws, margin, simulated  # noqa: E402

_draw: Any = draws.draw


def _read(scratch: Any, lane: int, purpose: int) -> Any:
    global _made
    _made += int(purpose < draws.N_DRAWN)
    return _draw(scratch, lane, purpose)


_name: Any = draws.name_call


def _named(*arguments: Any) -> None:
    global _made
    _made += 2  # the subkey
    _name(*arguments)


def _silent_absorb(k0: Any, k1: Any, a: Any, b: Any) -> Any:
    return _threefry(k0, k1, _word(a), _word(b))


for module in (order, transition, draws, margin, simulated):
    module._U = _word  # pyright: ignore
draws.threefry, draws.absorb = _threefry, _silent_absorb
draws.name_call, simulated.draw = _named, _read

from conductor_gym import engine as engines  # noqa: E402
from conductor_gym import kernels  # noqa: E402
from conductor_gym.config import EnvConfig  # noqa: E402


def _with_attributes(tables: Any) -> Any:
    """Record arrays whose records have attributes, as they have in compiled code."""
    return type(tables)(*[a.view(np.recarray) if a.dtype.names else a for a in tables])


def main() -> None:
    """Play and count."""
    np.seterr(over="ignore")
    engine: Any = engines.Engine(EnvConfig(), SLOTS)
    for name in ("tables", "simulated"):
        tables: Any = getattr(engine.world, name)
        object.__setattr__(engine.world, name, _with_attributes(tables))
    engine.state = _with_attributes(engine.state)
    engine._scratch = _with_attributes(engine._scratch)  # pyright: ignore
    kernels.tell_result = lambda *_: None  # pyright: ignore
    empty: Any = np.empty
    np.empty = lambda shape, dtype=float: (  # pyright: ignore
        empty(shape, dtype).view(np.recarray)
        if getattr(dtype, "names", None)
        else empty(shape, dtype)
    )
    slots = np.arange(SLOTS, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(slots, slots, np.zeros(SLOTS, np.int64), observation)
    generator = np.random.default_rng(0)
    global _made
    for step in range(BEFORE + STEPS):
        if step == BEFORE:
            _made = 0
        engine.step(valid_actions(observation.action_mask, generator), observation, restart=True)
    print(_made / SLOTS / STEPS)


if __name__ == "__main__":
    main()
