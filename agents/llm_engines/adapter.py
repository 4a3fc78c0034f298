"""A LoRA adapter on a base model, from safetensors and JSON alone. Imported late."""

import json
import warnings
from pathlib import Path
from typing import Any

from conductor_gym.errors import DataFileError, MissingExtraError, one_line

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"


def with_adapter(model: Any, folder: Path) -> Any:
    """The model with an adapter's weights in its layers, which stay apart from the base's.

    They are not added to them: in bfloat16 what an adapter changes would be rounded away.

    Args:
        model: A causal language model of transformers.
        folder: With `ADAPTER` and `ADAPTER_CONFIG`, as PEFT writes them.

    Raises:
        DataFileError: Files that are missing or broken, or an adapter of another base.
        MissingExtraError: PEFT is not installed.
    """
    try:
        import peft
    except ImportError:
        raise MissingExtraError("a conductor with an adapter", "llm") from None
    kind = adapter_kind(folder)
    if kind != "LORA":
        raise DataFileError(f"{folder}/{ADAPTER_CONFIG}: adapters are LORA here, not {kind!r}.")
    library: Any = peft
    try:
        with warnings.catch_warnings():  # PEFT asks transformers by names that it gives up
            warnings.simplefilter("ignore", FutureWarning)
            adapted = library.PeftModel.from_pretrained(model, str(folder), use_safetensors=True)
    except Exception as error:
        raise DataFileError(
            f"{folder}: the adapter cannot be put on its base model: {one_line(error)}"
        ) from None
    return adapted.eval().get_base_model()


def adapter_kind(folder: Path) -> str:
    """Kind of an adapter, as PEFT names it.

    Raises:
        DataFileError: Files that are missing or broken.
    """
    if not (folder / ADAPTER).is_file():
        raise DataFileError(f"{folder}: no {ADAPTER} beside {ADAPTER_CONFIG}.")
    try:
        kind = json.loads((folder / ADAPTER_CONFIG).read_text())["peft_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{folder}/{ADAPTER_CONFIG}: not an adapter's: {error!r}.") from None
    return str(kind)
