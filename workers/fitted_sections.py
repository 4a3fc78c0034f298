"""Sections of a pool file that a fit writes: shared factors, what text tells, where it is from."""

from typing import Annotated, Literal

from pydantic import Field

from conductor_gym.data_files import StrictModel
from conductor_gym.dynamics.state import MAX_FACTORS
from conductor_gym.spaces import EMBEDDING_WIDTH, SURFACE_COLUMNS

N_TEXT = EMBEDDING_WIDTH + len(SURFACE_COLUMNS)
"""Features that a fitted pool may read from a query's text."""
Source = Literal["published", "recorded", "fitted", "assumed"]
Loading = Annotated[float, Field(ge=-10.0, le=10.0)]
Loadings = Annotated[tuple[Loading, ...], Field(min_length=1, max_length=MAX_FACTORS)]


class LoadingTable(StrictModel):
    """How strongly each worker feels what is shared, relative to sqrt(rho); 1 where not named.

    By worker name: one number, or by domain one number for each shared factor, the first of which
    is the query's difficulty.
    """

    source: Source
    note: str
    values: dict[str, Loading | dict[str, Loadings]]
    standard_errors: dict[str, float] = Field(default_factory=dict)

    def of(self, worker: str, domain: str) -> tuple[float, ...]:
        """Loadings on the factors; a single 1 where the table does not name them."""
        given = self.values.get(worker, 1.0)
        if isinstance(given, dict):
            return given.get(domain, (1.0,))
        return (float(given),)


class TextWeights(StrictModel):
    """A linear function of a query's text features and domain.

    Attributes:
        weights: Of the embedding (32) and the surface features (8), as an observation shows them.
        offsets: Added by domain.
    """

    weights: Annotated[tuple[float, ...], Field(min_length=N_TEXT, max_length=N_TEXT)]
    offsets: dict[str, float]


class TextTable(StrictModel):
    """What a query's text tells, in units of a standard normal over the queries of the fit.

    Attributes:
        delta: About the difficulty; nothing where not given.
        eta: About each worker's own trouble, by worker; nothing where not named.
    """

    source: Source
    note: str
    delta: TextWeights | None = None
    eta: dict[str, TextWeights]


class FittedOn(StrictModel):
    """What a fitted pool was fitted on, so that it can be held against the rest.

    Attributes:
        table: The recording, or the recorded pool of one.
        split: The fitted split.
        queries: Number of fitted queries.
        content: Hash of the recording.
    """

    table: str
    split: str
    queries: int
    content: str
