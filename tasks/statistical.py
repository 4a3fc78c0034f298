"""Suites without text: domains, prompt lengths and public normals, drawn from the suite's name.

The 16 public normals stand where text would be embedded. The first tells about the query's
difficulty, the others about each worker's own trouble; how much, the pool says. They are public:
no key enters, so what a policy learns from them survives a change of key.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.quantiles import lognormal_factors, normal_quantiles
from conductor_gym.dynamics.state import N_NORMALS
from conductor_gym.spaces import SURFACE_COLUMNS
from conductor_gym.tasks.suite import Split, StatisticalCard, make_split

SHOWN_NORMAL_SCALE = 4.0
"""Public normals are observed divided by this; the quantile table ends before it."""


def _uniforms(uids: tuple[str, ...], count: int) -> npt.NDArray[np.float64]:
    """Public uniforms in [0, 1) of each uid, float64 [len(uids), count] (BLAKE2b, 53 bits each)."""
    blocks = -(-count // 8)
    words = b"".join(
        hashlib.blake2b(uid.encode(), person=b"public%d" % block).digest()
        for uid in uids
        for block in range(blocks)
    )
    table = np.frombuffer(words, ">u8").reshape(len(uids), 8 * blocks)[:, :count]
    return (table >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _quantile(
    table: npt.NDArray[np.float64], uniforms: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    position = uniforms * (len(table) - 1)
    j = position.astype(np.int64)
    return table[j] + (position - j) * (table[j + 1] - table[j])


def statistical_split(suite: str, card: StatisticalCard, split: str) -> Split:
    """Draw a split; the same everywhere, and the same prefix for a larger size.

    Args:
        suite: Name of the suite, part of every uid.
        card: Domains and sizes.
        split: Name of the split.
    """
    names = tuple(domain.name for domain in card.domains)
    size = card.sizes[split]
    uids = tuple(
        f"{suite}/{split}/{names[i % len(names)]}/{i // len(names):06d}" for i in range(size)
    )
    domain = np.arange(size, dtype=np.int64) % len(names)
    uniforms = _uniforms(uids, N_NORMALS + 1)
    normals = _quantile(normal_quantiles(), uniforms[:, :N_NORMALS])
    means = np.array([d.prompt_tokens for d in card.domains])[domain]
    lengths = means * _quantile(lognormal_factors(card.prompt_tokens_sigma), uniforms[:, -1])
    tokens = np.maximum(1, np.floor(lengths + 0.5)).astype(np.int64)
    surface = np.full((size, len(SURFACE_COLUMNS)), -1.0)
    surface[:, SURFACE_COLUMNS.index("has_text")] = 0.0
    embedding = normals / SHOWN_NORMAL_SCALE
    return make_split(
        suite, split, names, uids, (), domain, tokens, normals, embedding, surface, prompts=None
    )
