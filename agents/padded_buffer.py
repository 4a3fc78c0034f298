"""sb3-contrib's recurrent rollout buffer, its minibatches padded in one gather for each array.

sb3-contrib makes a tensor of each episode in each array of each minibatch, which took two fifths of
the training time here, where episodes have about three steps. The minibatches are the same numbers.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import MissingExtraError

try:
    import torch
    from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
    from sb3_contrib.common.recurrent.type_aliases import RecurrentRolloutBufferSamples, RNNStates
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None


class PaddedRolloutBuffer(RecurrentRolloutBuffer):
    """A `RecurrentRolloutBuffer` that pads faster."""

    @classmethod
    def like(cls, other: Any) -> Self:
        """An empty one of the size of `other`, sb3-contrib's own, for the same spaces."""
        return cls(
            other.buffer_size,
            other.observation_space,
            other.action_space,
            other.hidden_state_shape,
            other.device,
            other.gae_lambda,
            other.gamma,
            other.n_envs,
        )

    def _get_samples(
        self, batch_inds: npt.NDArray[Any], env_change: npt.NDArray[Any], env: Any = None
    ) -> RecurrentRolloutBufferSamples:
        """Minibatch of the flattened steps `batch_inds`: each sequence padded to the longest.

        A sequence ends with its episode, with its slot's steps, or with the minibatch. The result
        is flat: sequence after sequence, all of one length, zeros behind the end.
        """
        del env
        starts = (self.episode_starts[batch_inds] + env_change[batch_inds]).ravel() > 0
        starts[0] = True
        first = np.flatnonzero(starts)
        lengths = np.diff(np.append(first, len(starts)))
        place = np.arange(int(lengths.max()))
        padding = (place >= lengths[:, None]).ravel()
        rows = batch_inds[np.where(padding, 0, (first[:, None] + place).ravel())]

        def padded(array: npt.NDArray[Any]) -> torch.Tensor:
            taken = array[rows]
            taken[padding] = 0
            return torch.as_tensor(taken)

        def states(array: npt.NDArray[Any]) -> torch.Tensor:
            return torch.as_tensor(array[batch_inds[first]].swapaxes(0, 1)).contiguous()

        return RecurrentRolloutBufferSamples(
            observations=padded(self.observations),
            actions=padded(self.actions),
            old_values=padded(self.values).flatten(),
            old_log_prob=padded(self.log_probs).flatten(),
            advantages=padded(self.advantages).flatten(),
            returns=padded(self.returns).flatten(),
            lstm_states=RNNStates(
                (states(self.hidden_states_pi), states(self.cell_states_pi)),
                (states(self.hidden_states_vf), states(self.cell_states_vf)),
            ),
            episode_starts=padded(self.episode_starts).flatten(),
            mask=torch.as_tensor(1.0 - padding, dtype=torch.float32),
        )
