"""A policy network that treats worker slots as a set: permute the slots and its choice permutes.

Every slot goes through the same encoder; mean and maximum over the slots that hold a worker join
what all slots share. Actions are chosen one after the other: the subtask from the pooled features,
the worker given the subtask, the context level given both, so that "verify with A, or else solve
with B" can be said. (Zaheer et al. 2017, Deep Sets, arXiv 1703.06114.)

Training starts near a static pipeline: the next subtask of one adds to the subtask logits, and the
calibrated utility of a single call to the worker and level logits, each with a learned weight.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from conductor_gym.agents.pool_features import (
    COMMON_WIDTH,
    PIPELINE,
    SHOWN,
    SLOT_WIDTH,
    WORTH,
    Features,
)
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Subtask

WIDTH, SLOT_HIDDEN = 64, 32
"""Units of a layer: of what all slots share, and of each slot, of which there are eight."""
TRUST = 20.0
"""First weight of a single call's utility in the logits of `solve`."""
LEAN = 3.0
"""First weight of a static pipeline's next subtask and context level in the logits."""
_NEVER = -1e9
_BY_THE_BEST = [Subtask.PLAN, Subtask.AGGREGATE]
_LOOKS_BACK = [Subtask.VERIFY, Subtask.REVISE, Subtask.AGGREGATE]
_NEEDS_NO_WORKER = (Subtask.VOTE, Subtask.SUBMIT)


class Inputs(NamedTuple):
    """`Features` as tensors."""

    slots: Tensor
    common: Tensor
    present: Tensor
    mask: Tensor

    @classmethod
    def of(cls, made: Features) -> "Inputs":
        """The same numbers."""
        return cls(*(torch.as_tensor(array) for array in made))

    def rows(self, chosen: Tensor) -> "Inputs":
        """Some of the rows."""
        return Inputs(*(tensor[chosen] for tensor in self))


class Judged(NamedTuple):
    """Actions under the policy.

    Attributes:
        actions: int64 [n, 3]: worker slot, subtask, context level.
        log_prob: float [n].
        entropy: float [n], of the three choices as they were met.
        value: float [n], expected return to go.
    """

    actions: Tensor
    log_prob: Tensor
    entropy: Tensor
    value: Tensor


class PoolPolicy(nn.Module):
    """Actor and critic over a set of workers.

    Args:
        generator: Draws the first weights; zeros where None, to be loaded into.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        wide, narrow = WIDTH, SLOT_HIDDEN
        # Made on no device and filled below: the global random state stays as it is.
        with torch.device("meta"):
            self.common_in = nn.Linear(COMMON_WIDTH, wide)
            self.slot_in = nn.Linear(SLOT_WIDTH, narrow)
            self.slot_common = nn.Linear(wide, narrow)
            self.slot_mid = nn.Linear(narrow, narrow)
            self.pooled = nn.Linear(2 * narrow + wide, wide)
            self.subtask_mid = nn.Linear(wide, wide)
            self.subtask_out = nn.Linear(wide, N_SUBTASKS)
            self.worker_mid = nn.Linear(narrow, narrow)
            self.worker_pooled = nn.Linear(wide, narrow)
            self.worker_out = nn.Linear(narrow, 1)
            self.level_mid = nn.Linear(narrow, narrow)
            self.level_out = nn.Linear(narrow, N_LEVELS)
            self.value_mid = nn.Linear(wide, wide)
            self.value_out = nn.Linear(wide, 1)
            self.given_subtask = nn.Embedding(N_SUBTASKS, 2 * narrow)
            self.trust = nn.Embedding(N_SUBTASKS, 3)
            self.lean = nn.Linear(1, 1, bias=False)
        self.to_empty(device="cpu")
        self._fill(generator)

    def forward(
        self,
        inputs: Inputs,
        actions: Tensor | None = None,
        generator: torch.Generator | None = None,
        greedy: bool = False,
    ) -> Judged:
        """Choose actions, or judge given ones.

        Args:
            inputs: What is observed.
            actions: int64 [n, 3] to be judged; chosen where None.
            generator: What actions are drawn from.
            greedy: Take the likeliest instead of drawing.
        """
        slots, pooled = self._encode(inputs)
        n, width = slots.shape[:2]
        masks = torch.split(inputs.mask, [width, N_SUBTASKS, N_LEVELS], dim=1)
        worth = inputs.slots[:, :, WORTH]
        rows = torch.arange(n)

        def choose(logits: Tensor, mask: Tensor, given: Tensor | None) -> tuple[Tensor, ...]:
            log_probs = functional.log_softmax(logits.masked_fill(~mask, _NEVER), dim=1)
            if given is None:
                given = _pick(log_probs, generator, greedy)
            entropy = -(log_probs.exp() * log_probs).sum(dim=1)
            return given, log_probs[rows, given], entropy

        logits = self.subtask_out(torch.relu(self.subtask_mid(pooled)))
        logits = logits + self.lean.weight * inputs.common[:, PIPELINE]
        # Where no worker can be asked, submit is left, and the workers' mask would be empty.
        someone = torch.any(masks[0], dim=1, keepdim=True)
        asked = None if actions is None else actions[:, 1]
        subtask, log_prob, entropy = choose(logits, masks[1], asked)

        given_worker, given_level = self.given_subtask(subtask).chunk(2, dim=1)
        trust = self.trust(subtask)
        hidden = self.worker_mid(slots) + (self.worker_pooled(pooled) + given_worker)[:, None]
        logits = self.worker_out(torch.relu(hidden))[:, :, 0]
        logits = logits + trust[:, :1] * worth.amax(dim=2)
        asked = None if actions is None else actions[:, 0]
        worker, worker_log_prob, worker_entropy = choose(logits, masks[0] | ~someone, asked)

        logits = self.level_out(torch.relu(self.level_mid(slots[rows, worker]) + given_level))
        logits = logits + trust[:, 1:2] * worth[rows, worker]
        logits = logits + trust[:, 2:] * inputs.common[:, SHOWN]
        asked = None if actions is None else actions[:, 2]
        level, level_log_prob, level_entropy = choose(logits, masks[2], asked)

        calls = ~torch.isin(subtask, torch.tensor(_NEEDS_NO_WORKER))
        return Judged(
            torch.stack([worker * calls, subtask, level * calls], dim=1),
            log_prob + calls * (worker_log_prob + level_log_prob),
            entropy + calls * (worker_entropy + level_entropy),
            self.value_out(torch.relu(self.value_mid(pooled)))[:, 0],
        )

    def _encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Encoded slots [n, slots, width] and their pool with what they share [n, width]."""
        common = torch.relu(self.common_in(inputs.common))
        slots = torch.relu(self.slot_in(inputs.slots) + self.slot_common(common)[:, None])
        slots = torch.relu(self.slot_mid(slots))
        there = inputs.present[:, :, None]
        held = slots * there
        mean = held.sum(dim=1) / there.sum(dim=1).clamp(min=1)
        joined = torch.cat([mean, held.amax(dim=1), common], dim=1)
        return slots, torch.relu(self.pooled(joined))

    def _fill(self, generator: torch.Generator | None) -> None:
        small = {"subtask_out": 0.01, "worker_out": 0.01, "level_out": 0.01, "value_out": 1.0}
        with torch.no_grad():
            for name, layer in self.named_children():
                weight: Any = layer.weight
                weight.zero_()
                if isinstance(layer, nn.Linear) and layer is not self.lean:
                    layer.bias.zero_()
                    if generator is not None:
                        gain = small[name] if name in small else math.sqrt(2.0)
                        nn.init.orthogonal_(weight, gain, generator=generator)
            self.lean.weight.fill_(LEAN)
            self.trust.weight[Subtask.SOLVE, :2] = TRUST
            self.trust.weight[_BY_THE_BEST, 0] = TRUST
            self.trust.weight[_LOOKS_BACK, 2] = LEAN


def _pick(log_probs: Tensor, generator: torch.Generator | None, greedy: bool) -> Tensor:
    if greedy:
        # Rounded: the last bits depend on how many rows there are and on their order.
        return log_probs.mul(1e6).round().argmax(dim=1)
    noise = torch.rand(log_probs.shape, generator=generator, dtype=log_probs.dtype)
    return (log_probs - torch.log(-torch.log(noise.clamp(1e-9, 1 - 1e-7)))).argmax(dim=1)
