"""The `[text]` section of a suite's TOML file: tasks of a JSONL file, or of a generator."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from conductor_gym.data_files import StrictModel
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.tasks.family import FAMILIES
from conductor_gym.tasks.generate import LEVELS, MultiPartOrder, Order
from conductor_gym.tasks.task import MAX_PARTS
from conductor_gym.tasks.verifiers import FUZZED, find_verifier, not_fuzzed

SplitName = Literal["train", "dev", "test"]
DEFAULT_SHARES: dict[SplitName, float] = {"train": 4 / 7, "dev": 1 / 7, "test": 2 / 7}
"""Shares of the splits where rows name none."""


class SplitPart(StrictModel):
    """What of a task's construction decides its split.

    Attributes:
        metadata: Dotted path in the generator's metadata.
        answer: The answer instead.
        pattern: Regular expression; its first match in the value counts.
    """

    metadata: str | None = None
    answer: bool = False
    pattern: str | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.metadata is None) != self.answer:
            raise ValueError("give either `metadata` or `answer = true`")
        return self


class DatasetCard(StrictModel):
    """A dataset of the generator and its own settings at each level.

    Attributes:
        split_by: What decides a task's split; empty: its normalized prompt.
        verifier: Name of the verifier; by default the dataset's own grader.
    """

    name: str
    domain: str
    split_by: tuple[SplitPart, ...] = ()
    verifier: str = "reasoning-gym"
    easy: dict[str, Any]
    medium: dict[str, Any]
    hard: dict[str, Any]


TasksBySplit = Annotated[dict[SplitName, Annotated[int, Field(gt=0)]], Field(min_length=1)]


class FamilyCard(StrictModel):
    """A family of this project and its settings at each level.

    Attributes:
        tasks: Tasks at each level, by split.
    """

    name: str
    domain: str
    tasks: TasksBySplit
    easy: dict[str, Any]
    medium: dict[str, Any]
    hard: dict[str, Any]

    @model_validator(mode="after")
    def _name_is_known(self) -> Self:
        if self.name not in FAMILIES:
            raise ValueError(f"no family {self.name!r}, there are {', '.join(FAMILIES)}")
        return self


class PartsCard(StrictModel):
    """How many parts a task of one level has, and of which level they are."""

    parts: Annotated[int, Field(ge=2, le=MAX_PARTS)]
    level: Literal["easy", "medium", "hard"]


class MultiPartCard(StrictModel):
    """Tasks of several parts: tasks of different domains and of the same split.

    Attributes:
        tasks: Tasks at each level, by split.
        domains: Domains that parts are drawn from.
        easy: Parts of an easy task, and so for the other levels.
    """

    domain: str
    tasks: TasksBySplit
    domains: Annotated[tuple[str, ...], Field(min_length=2)]
    easy: PartsCard
    medium: PartsCard
    hard: PartsCard

    def order(self) -> MultiPartOrder:
        """What to make."""
        return MultiPartOrder(
            domain=self.domain,
            domains=list(self.domains),
            parts={level: getattr(self, level).parts for level in LEVELS},
            levels={level: 1 + LEVELS.index(getattr(self, level).level) for level in LEVELS},
            tasks={str(split): count for split, count in self.tasks.items()},
        )


class GeneratorCard(StrictModel):
    """Tasks that are made on first use.

    Attributes:
        version: Version of the package that the suite is defined by.
        tasks: Tasks of each dataset at each level, by split.
        seconds: Limit of one dataset.
        content: Expected `content_of` all rows; empty: not checked.
    """

    package: Literal["reasoning-gym"]
    version: str
    tasks: TasksBySplit
    seconds: Annotated[float, Field(gt=0, le=3600)]
    content: str = ""
    datasets: Annotated[tuple[DatasetCard, ...], Field(min_length=1)]
    families: tuple[FamilyCard, ...] = ()
    multi_part: MultiPartCard | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.tasks)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, sorted."""
        return tuple(sorted(self.counts()))

    def counts(self) -> dict[str, dict[str, int]]:
        """Tasks by domain and split, all levels together."""
        cards = [*((d.domain, self.tasks) for d in self.datasets)]
        cards += [(family.domain, family.tasks) for family in self.families]
        if self.multi_part is not None:
            cards.append((self.multi_part.domain, self.multi_part.tasks))
        counts: dict[str, dict[str, int]] = {}
        for domain, tasks in cards:
            of_domain = counts.setdefault(domain, dict.fromkeys(self.splits, 0))
            for split, count in tasks.items():
                of_domain[split] += len(LEVELS) * count
        return counts

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [card.name for card in (*self.datasets, *self.families)]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"datasets appear twice: {', '.join(doubles)}")
        several = self.multi_part
        for card in (*self.families, *((several,) if several is not None else ())):
            if tuple(card.tasks) != self.splits:
                raise ValueError(f"{card.domain}: tasks must name the splits {self.splits}")
        if several is not None:
            strangers = sorted(set(several.domains) - {d.domain for d in self.datasets})
            if strangers:
                raise ValueError(f"multi_part: no dataset has domain {', '.join(strangers)}")
            most = max(getattr(several, level).parts for level in LEVELS)
            if len(set(several.domains)) < most:
                raise ValueError("multi_part: more parts than domains")
        for dataset in self.datasets:
            if dataset.verifier == "reasoning-gym" and dataset.name not in FUZZED:
                raise ValueError(not_fuzzed(dataset.name))
            find_verifier(dataset.verifier)
        if len(self.domains) > N_DOMAINS:
            raise ValueError(f"{len(self.domains)} domains, at most {N_DOMAINS}")
        return self

    def orders(self) -> list[Order]:
        """What to make, one order a dataset or family."""
        families = [
            Order(
                source="family",
                name=family.name,
                domain=family.domain,
                verifier="",
                split_by=[],
                levels={level: getattr(family, level) for level in LEVELS},
                tasks={str(split): count for split, count in family.tasks.items()},
            )
            for family in self.families
        ]
        return families + [
            Order(
                source=self.package,
                name=dataset.name,
                domain=dataset.domain,
                verifier=dataset.verifier,
                split_by=[part.model_dump() for part in dataset.split_by],
                levels={level: getattr(dataset, level) for level in LEVELS},
                tasks={str(split): count for split, count in self.tasks.items()},
            )
            for dataset in self.datasets
        ]


class TextCard(StrictModel):
    """Tasks with text: exactly one of `file` and `generator`.

    Attributes:
        encoder: What turns a prompt into the 32 numbers of an observation.
        file: JSONL file, from the folder of the suite's file.
        shares: Share of each split where the rows name none.
    """

    encoder: Literal["hashed-32", "minilm-32"] = "hashed-32"
    file: str | None = None
    generator: GeneratorCard | None = None
    shares: dict[SplitName, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=lambda: dict(DEFAULT_SHARES)
    )

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.shares) if self.generator is None else self.generator.splits

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.generator is None):
            raise ValueError("give either `file` or a [text.generator] section")
        if abs(sum(self.shares.values()) - 1.0) > 1e-9:
            raise ValueError("shares must add up to 1")
        return self
