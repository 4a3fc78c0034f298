"""Encoders: what turns a prompt into the 32 numbers of an observation. A suite names its own."""

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import unknown_name
from conductor_gym.spaces import EMBEDDING_WIDTH

ENCODERS = ("hashed-32", "minilm-32")


def encode(name: str, texts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Encode texts; each row depends on its own text alone.

    Args:
        name: ``"hashed-32"`` (words, no model) or ``"minilm-32"`` (a small model, needs an extra).
        texts: The prompts; none only asks whether the encoder can run here.

    Returns:
        float64 [texts, 32] in [-1, 1].

    Raises:
        UnknownNameError: No such encoder.
        MissingExtraError: The encoder's model is not installed.
    """
    # Imported here: scikit-learn takes a second, and a cached suite does without.
    if name == "hashed-32":
        from conductor_gym.tasks.text_features import hashed_embedding

        return hashed_embedding(texts) if texts else np.zeros((0, EMBEDDING_WIDTH))
    if name == "minilm-32":
        from conductor_gym.tasks.minilm import minilm_embedding

        return minilm_embedding(texts)
    raise unknown_name("encoder", name, ENCODERS)
