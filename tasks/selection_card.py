"""The `[selection]` section of a suite's TOML file: some tasks of another suite."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel

Prefix = Annotated[str, Field(pattern=r"^[^/]+(/[^/]+)*$")]


class SelectionCard(StrictModel):
    """Tasks of another suite, under the uids that they have there.

    Attributes:
        suite: The other suite, as `load_suite_card` takes it; a path counts from the folder of
            this suite's file.
        tasks: Beginnings of uids without the suite's name, in whole components:
            ``arithmetic/chain_sum/easy`` or ``arithmetic``.
        most: Tasks of each beginning by split, the other suite's first ones; a split that is not
            named does not exist.
    """

    suite: Annotated[str, Field(min_length=1)]
    tasks: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    most: Annotated[dict[str, Annotated[int, Field(gt=0)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _lie_apart(self) -> Self:
        given = set(self.tasks)
        doubles = sorted({task for task in given if self.tasks.count(task) > 1})
        if doubles:
            raise ValueError(f"tasks appear twice: {', '.join(doubles)}")
        for task in self.tasks:
            outer = next((above for above in beginnings(task)[:-1] if above in given), None)
            if outer is not None:
                raise ValueError(f"tasks: {task!r} lies in {outer!r}: name one of them")
        return self


def beginnings(path: str) -> list[str]:
    """``a/b/c`` and all that it begins with: ``a``, ``a/b``, ``a/b/c``."""
    pieces = path.split("/")
    return ["/".join(pieces[:k]) for k in range(1, len(pieces) + 1)]


def own_part(uid: str) -> str:
    """A uid without the suite's name."""
    return uid.partition("/")[2]
