"""The model that training starts from, and the folder it is written to; imported late.

A base model in Hugging Face's form starts with fresh adapters. A folder that `conductor-gym train
llm` wrote goes on from where it is.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor_gym.agents.llm_config import LlmConfig
from conductor_gym.agents.llm_weights import find_base, weights_hash
from conductor_gym.agents.training import CARD, keeps_random_state
from conductor_gym.data_files import make_folder, write_beside_and_rename
from conductor_gym.errors import ConfigError, DataFileError, MissingExtraError, one_line
from conductor_gym.live.vocabulary import fold_head

try:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load as load_tensors
    from safetensors.torch import save
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging
except ModuleNotFoundError:
    raise MissingExtraError("training a language model", "train") from None


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        base: Name and hash of the base model's weights, for the card.
        base_folder: Where that model is.
        folder: With what was trained before, None where training begins with the base model.
        before: Stages that were trained before, as they stand on that folder's card.
    """

    base: dict[str, str]
    base_folder: str
    folder: Path | None = None
    before: list[dict[str, Any]] = field(default_factory=lambda: [])


def find_start(model: str) -> Start:
    """Look a model up.

    Args:
        model: A base model (folder, name of one, or name on the hub) or a trained conductor.

    Raises:
        ConfigError: It is nowhere.
        DataFileError: A card that is none.
    """
    folder = Path(model).expanduser()
    if (folder / CARD).is_file():
        try:
            card = json.loads((folder / CARD).read_text())
            base, stages = dict(card["base"]), list(card["stages"])
            name = str(base["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{folder / CARD} is no conductor's card: {error!r}.") from None
        if (folder / "adapter_config.json").is_file():
            return Start(base, find_base(name), folder, stages)
        return Start(base, str(folder), folder, stages)
    found = find_base(model)
    name = Path(found).resolve().name if Path(found).is_dir() else found
    known = {"name": name}
    if Path(found).is_dir():
        known["hash"] = weights_hash(Path(found))
    return Start(known, found)


def load_tokenizer(start: Start) -> Any:
    """Its tokenizer.

    Raises:
        ConfigError: It cannot be loaded.
    """
    library: Any = AutoTokenizer
    try:
        tokenizer = library.from_pretrained(start.base_folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{start.base_folder}: no tokenizer ({one_line(error)}).") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@keeps_random_state
def load_start(start: Start, config: LlmConfig, seed: int, writes: bool = True) -> Any:
    """The model to train, with adapters where the configuration asks for them.

    Args:
        start: What is trained.
        config: How.
        seed: Of the adapters' first weights.
        writes: Whether it generates while it is trained. One that only reads is held in float32 on
            a CPU: products are in `training_dtype` all the same, and all else is a sixth faster.

    Raises:
        ConfigError: It cannot be loaded, or does not go with the configuration.
    """
    library: Any = AutoModelForCausalLM
    kind = training_dtype(config)
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        # All weights are trained in float32, which small steps need; products are in bfloat16.
        model = library.from_pretrained(
            start.base_folder,
            dtype=kind if config.lora is not None and (writes or config.devices) else torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"model {start.base_folder!r} cannot be loaded ({one_line(error)}). Give a folder in "
            "Hugging Face's form with safetensors, or a name on its hub."
        ) from None
    finally:
        if bar:
            transformers_logging.enable_progress_bar()
    fold_head(model)
    adapted = start.folder is not None and (start.folder / "adapter_config.json").is_file()
    if config.lora is None:
        if adapted:
            raise ConfigError(
                f"{start.folder} holds adapters: training goes on with [lora] in the configuration."
            )
        return model
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    if adapted:
        adapters: Any = PeftModel
        return adapters.from_pretrained(model, str(start.folder), is_trainable=True)
    lora = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=config.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def training_dtype(config: LlmConfig) -> torch.dtype:
    """What products are computed in."""
    if config.dtype != "auto":
        return torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)
    fast = torch.cuda.is_available() or capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def write_model(
    trainer: Any, folder: Path, start: Start, tokenizer: Any, kind: torch.dtype
) -> None:
    """Write adapters, or the whole model with its tokenizer, as safetensors; on all devices.

    Args:
        trainer: Of transformers; it gathers what is spread over devices.
        folder: Where to.
        start: What was trained.
        tokenizer: Its own.
        kind: What the weights are written as; adapters and weights are trained in float32.
    """
    make_folder(folder)
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return
    for path in (*folder.glob("*.bin"), folder / "README.md"):  # pickled arguments, an empty card
        path.unlink(missing_ok=True)
    for path in folder.glob("*.safetensors"):
        tensors = {
            name: tensor.to(kind) for name, tensor in load_tensors(path.read_bytes()).items()
        }
        write_beside_and_rename(path, save(tensors, {"format": "pt"}))
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text())
        settings["base_model_name_or_path"] = start.base["name"]  # no path of this machine
        adapter.write_text(json.dumps(settings, indent=1))
        for path in folder.iterdir():
            if path.name.startswith(("tokenizer", "chat_template", "special_tokens")):
                path.unlink()
    else:
        tokenizer.save_pretrained(str(folder))
