"""The process-wide random state, which some packages move when they are imported."""

import random
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def random_state_kept() -> Generator[None]:
    """Leave Python's process-wide random state as it was."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
