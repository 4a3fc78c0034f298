"""Numbers that an observation shows of a query's text."""

import re
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import (  # pyright: ignore[reportMissingTypeStubs]
    HashingVectorizer,
)

from conductor_gym.spaces import EMBEDDING_WIDTH, SURFACE_COLUMNS

_LINES_SCALE = 10.0
_OPTIONS_SCALE = 16.0
_SYMBOLS = re.compile(r"[^\w\s.,;:!?'\"]")


def hashed_embedding(texts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Signed hashing of words and word pairs into 32 numbers, each row of length 1.

    scikit-learn's `HashingVectorizer` (MurmurHash3): no model, the same everywhere.

    Returns:
        float64 [texts, 32] in [-1, 1].
    """
    vectorizer = HashingVectorizer(n_features=EMBEDDING_WIDTH, ngram_range=(1, 2), norm="l2")
    sparse: Any = cast(Any, vectorizer).transform(texts)
    return np.clip(np.asarray(sparse.toarray(), np.float64), -1.0, 1.0)


def surface_features(
    texts: tuple[str, ...], options: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Shares and counts read off the text; columns as in `SURFACE_COLUMNS`.

    Args:
        texts: The prompts.
        options: Options of each multiple-choice question, NaN or None where there are none.

    Returns:
        float64 [texts, 8]; tokens and documents are left missing.
    """
    table = np.full((len(texts), len(SURFACE_COLUMNS)), -1.0)
    columns = {name: i for i, name in enumerate(SURFACE_COLUMNS)}
    for row, text in zip(table, texts, strict=True):
        size = max(1, len(text))
        lines = text.count("\n")
        row[columns["has_text"]] = 1.0
        row[columns["digits"]] = sum(c.isdigit() for c in text) / size
        row[columns["upper_case"]] = sum(c.isupper() for c in text) / size
        row[columns["symbols"]] = len(_SYMBOLS.findall(text)) / size
        row[columns["lines"]] = lines / (lines + _LINES_SCALE)
    if options is not None:
        shown = np.minimum(1.0, options / _OPTIONS_SCALE)
        table[:, columns["options"]] = np.where(np.isfinite(options), shown, -1.0)
    return table
