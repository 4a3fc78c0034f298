"""The order in which episodes are trained on: alike in length within a batch; imported late."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_POOLED = 16
"""Batches whose episodes are sorted by length together."""


class LengthBatches(Sampler[int]):
    """Batches of episodes of like length, in random order.

    Little is padded, and long and short episodes alternate. transformers' `group_by_length` trains
    on long ones first and short ones last, over and over, and so forgets the long ones at the end.

    Args:
        lengths: Tokens of each episode.
        batch: Episodes of a batch.
        seed: Of the order.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed = np.asarray(lengths), batch, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Each epoch has its own order; the data loader tells which one begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draws = np.random.default_rng([self.seed, self.epoch])
        order = draws.permutation(len(self.lengths))
        pooled = _POOLED * self.batch
        for first in range(0, len(order), pooled):
            part = order[first : first + pooled]
            part[:] = part[np.argsort(self.lengths[part], kind="stable")]
        whole = len(order) // self.batch * self.batch
        batches = draws.permutation(order[:whole].reshape(-1, self.batch))
        yield from map(int, batches.ravel())
        yield from map(int, order[whole:])  # the last, smaller one
