"""The draws of a block of calls, made together: eight side by side take the time of one."""

from typing import Any

import numpy as np

from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.dynamics.keyed import absorb, threefry
from conductor_gym.dynamics.state import N_DRAWN

_U = np.uint64


@inner_njit
def name_call(scratch: Any, lane: int, episode: Any, uid: Any, call: Any) -> None:
    """Write what a call's luck is drawn from.

    That is (key, stream, pass, query, part, worker, subtask, target answer, attempt).

    Args:
        scratch: `Scratch`.
        lane: Of the call.
        episode: `EPISODE_DTYPE` record.
        uid: The worker's, as a word.
        call: `CALL_DTYPE` record.
    """
    names = scratch.names
    names[0, lane] = episode.luck0
    names[1, lane] = episode.luck1
    names[2, lane] = uid
    names[3, lane] = _U((call.part + 1) * 16 + call.subtask)
    names[4, lane] = _U(call.target_answer)
    names[5, lane] = _U(call.attempt)


@inner_njit
def make_draws(scratch: Any, count: int) -> None:
    """Make the subkeys of the first lanes and the draws that most calls need."""
    names, first, second = scratch.names, scratch.first, scratch.second
    for i in range(count):
        a0, a1 = absorb(names[0, i], names[1, i], names[2, i], names[3, i])
        first[0, i], second[0, i] = absorb(a0, a1, names[4, i], names[5, i])
    for purpose in range(1, N_DRAWN):
        for i in range(count):
            word0, word1 = threefry(first[0, i], second[0, i], _U(purpose), _U(0))
            first[purpose, i] = word0
            second[purpose, i] = word1


@inner_njit
def subkey(scratch: Any, lane: int) -> Any:
    """Two words: the subkey of a call."""
    return scratch.first[0, lane], scratch.second[0, lane]


@inner_njit
def draw(scratch: Any, lane: int, purpose: int) -> Any:
    """Two words for one purpose of a call."""
    if purpose < N_DRAWN:
        return scratch.first[purpose, lane], scratch.second[purpose, lane]
    k0, k1 = subkey(scratch, lane)
    return threefry(k0, k1, _U(purpose), _U(0))
