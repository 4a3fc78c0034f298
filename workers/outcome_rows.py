"""Where a split's queries and a pool's workers stand in a recording."""

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.recording import Recording


def rows_of(
    recording: Recording, uids: tuple[str, ...], workers: tuple[str, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of queries and columns of workers in a recording's arrays.

    Args:
        recording: The recording.
        uids: Ids of a split's queries.
        workers: Names.

    Raises:
        DataFileError: A worker or a query that the recording does not hold.
    """
    positions = {uid: i for i, uid in enumerate(recording.queries.uids)}
    missing = [uid for uid in uids if uid not in positions]
    if missing:
        raise DataFileError(
            f"{recording.card.outcomes.files[0]} has no record of query {missing[0]!r} and of "
            f"{len(missing) - 1} more."
        )
    rows = np.array([positions[uid] for uid in uids], np.int64)
    return rows, np.array([recording.column(name) for name in workers], np.int64)
