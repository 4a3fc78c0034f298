"""Layout of a simulated pool on a suite, as the compiled core reads it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.state import MAX_FACTORS, Records
from conductor_gym.types import N_SUBTASKS

ABILITY_DTYPE = np.dtype(
    [
        ("z", np.float64),  # probit of accuracy given that the format holds
        ("on_shared", np.float64, (MAX_FACTORS,)),  # sqrt(rho)·a
        ("on_own", np.float64),  # sqrt(1 - rho·a·a)
        ("format_failure", np.uint64),  # threshold
        ("tokens", np.float64, (N_SUBTASKS,)),  # mean output tokens before the cap
    ],
    align=True,
)

DOMAIN_DTYPE = np.dtype(
    [
        ("attractor", np.uint64),  # threshold of a wrong answer to be the common one
        ("tail", np.int64),  # other wrong answers, 0: never twice the same
        ("verify_gap", np.float64),
    ],
    align=True,
)

TRAITS_DTYPE = np.dtype(
    [
        ("uid", np.uint64),
        ("confidence_bias", np.float64),
        ("first_token", np.float64),  # microseconds
        ("per_token", np.float64),  # microseconds
        ("first_token_row", np.int64),  # row of `lognormal`
    ],
    align=True,
)

MODEL_DTYPE = np.dtype(
    [
        ("text_delta", np.float64),  # sqrt(r²)
        ("noise_delta", np.float64),  # sqrt(1 - r²)
        ("text_eta", np.float64),
        ("noise_eta", np.float64),
        ("own", np.float64),  # sqrt(kappa)
        ("attempt", np.float64),  # sqrt(1 - kappa)
        ("distraction", np.float64),
        ("confidence_slope", np.float64),
        ("confidence_noise", np.float64),
        ("verify_slope", np.float64),
        ("verify_seen", np.float64),
        ("verify_criterion", np.float64),
        ("verify_persistent", np.float64),  # sqrt of the persistent share
        ("verify_fresh", np.float64),
        ("blind_spot", np.float64),
        ("verify_failure", np.uint64),  # threshold
        ("revise_same", np.float64),  # r
        ("revise_new", np.float64),  # sqrt(1 - r²)
        ("revise_seen", np.float64),  # of another's output
        ("revise_own", np.float64),
        ("revise_critique", np.float64),
        ("revise_keep", np.uint64),  # threshold
        ("aggregate_votes", np.float64),
        ("part_load", np.float64),  # probits
        ("plan_gap", np.float64),
        ("plan_slope", np.float64),
        ("join_gap", np.float64),
        ("evidence_lack", np.float64),
        ("document_distraction", np.float64),
        ("condense_gap", np.float64),
        ("condense_slope", np.float64),
        ("condense_tokens", np.float64),  # mean output tokens before the cap
        ("skew", np.float64),  # of difficulty
        ("skew_scale", np.float64),  # 1 / sqrt(1 + 2·skew²)
        ("factors", np.int64),  # shared factors in use
    ],
    align=True,
)


class SimulatedTables(NamedTuple):
    """A pool on a suite, ready for `simulate_call`.

    Attributes:
        abilities: `ABILITY_DTYPE` [workers, domains].
        domains: `DOMAIN_DTYPE` [domains].
        traits: `TRAITS_DTYPE` [workers].
        model: `MODEL_DTYPE` [1].
        told: float64 [queries and parts, 1 + workers], what text or public normals tell about the
            difficulty and about each worker's own trouble.
        normal: float64 [1025], quantiles of the normal distribution.
        lognormal: float64 [rows, 1025], factors of mean 1; row 0 is for output tokens.
    """

    abilities: Records
    domains: Records
    traits: Records
    model: Records
    told: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]
    lognormal: npt.NDArray[np.float64]
