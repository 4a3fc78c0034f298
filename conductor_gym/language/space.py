"""The space of texts: any characters, membership told in constant time."""

from typing import Any, NoReturn

import gymnasium as gym
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import (
    create_shared_memory,  # pyright: ignore[reportUnknownVariableType]
)

_CHARSET = "".join(map(chr, range(32, 127))) + "\n"


class AnyText(gym.spaces.Text):
    """Any text of at most `max_length` characters.

    Gymnasium's `Text` looks at every character and knows only a charset; this one does neither.

    Args:
        max_length: Most characters.
        examples: What `sample` draws from; texts of printable ASCII where empty.
        seed: Seed of `sample`.
    """

    def __init__(
        self, max_length: int, examples: tuple[str, ...] = (), seed: int | None = None
    ) -> None:
        self.examples = examples
        super().__init__(max_length, min_length=0, charset=_CHARSET, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether x is a text and not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """One of the examples; with none, or with a mask, a text as `Text.sample` draws it."""
        if not self.examples or mask is not None or probability is not None:
            return super().sample(mask, probability)
        return self.examples[int(self.np_random.integers(len(self.examples)))]

    @property
    def is_np_flattenable(self) -> bool:
        """False: a character may be any of Unicode's."""
        return False

    def __repr__(self) -> str:
        return f"AnyText({self.max_length})"

    def __eq__(self, other: object, /) -> bool:
        return isinstance(other, AnyText) and self.max_length == other.max_length


@create_shared_memory.register(AnyText)
def _not_shared(space: AnyText, n: int = 1, ctx: Any = None) -> NoReturn:  # pyright: ignore[reportUnusedFunction]
    # Gymnasium would share a text as numbers of its charset and give back another text.
    raise CustomSpaceError(f"{space} cannot lie in shared memory: pass shared_memory=False.")
