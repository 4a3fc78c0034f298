"""The cards of the benchmarks: where each lies on the hub, and which columns are read."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from conductor_gym.data_files import StrictModel, load_toml
from conductor_gym.errors import unknown_name

CARDS_FILE = Path(__file__).with_name("benchmarks.toml")


class BenchmarkCard(StrictModel):
    """One benchmark; its rows are never shipped.

    Attributes:
        name: How it is asked for.
        domain: Domain of its tasks, as in `paper-v1`.
        hub: Path on the hub.
        configs: Configurations, read one after the other; empty: the default one.
        files: Files that are read directly, where the set has no other form.
        split: Name of the split.
        revision: Commit on the hub; empty: the newest.
        licence: As its card words it.
        gated: Whether its terms must be accepted first.
        rows: How many there are; None where that is not known.
        columns: Columns that are read, by their published names.
        note: What could not be confirmed, and what is particular.
    """

    name: str
    domain: str
    hub: str
    configs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    split: str
    revision: str
    licence: str
    gated: bool = False
    rows: int | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    note: str

    @property
    def page(self) -> str:
        """Where a person finds it."""
        return f"https://huggingface.co/datasets/{self.hub}"

    def hub_arguments(self) -> list[dict[str, Any]]:
        """Arguments of `datasets.load_dataset`, one for each call."""
        if self.files:
            at = f"hf://datasets/{self.hub}@{self.revision or 'main'}"
            files = [f"{at}/{file}" for file in self.files]
            return [{"path": "json", "data_files": files, "split": self.split}]
        return [
            {
                "path": self.hub,
                "name": config,
                "split": self.split,
                "revision": self.revision or None,
            }
            for config in self.configs or (None,)
        ]


class _Cards(StrictModel):
    benchmarks: tuple[BenchmarkCard, ...]


@lru_cache(maxsize=1)
def benchmark_cards() -> tuple[BenchmarkCard, ...]:
    """All cards, in the order of the file."""
    return load_toml(CARDS_FILE, _Cards).benchmarks


def find_benchmark(name: str) -> BenchmarkCard:
    """The card of a name, in any case.

    Raises:
        UnknownNameError: There is none.
    """
    for card in benchmark_cards():
        if card.name.casefold() == name.casefold():
            return card
    raise unknown_name("benchmark", name, (card.name for card in benchmark_cards()))
