"""What `--model` names for agent `llm`: a model, a trained conductor, or a TOML file of settings.

- a folder in Hugging Face's form, or the name of one (llm_weights.py): that model, zero-shot;
- a folder with `card.json`: a conductor that was trained, full weights or an adapter on a base;
- a TOML file: fields of `LLMSettings`, where `model` names one of the two, or what a server serves.
"""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, ValidationError

from conductor_gym.agents.llm_weights import find_base, is_model, weights_hash
from conductor_gym.data_files import StrictModel, load_toml
from conductor_gym.errors import ConductorError, ConfigError, DataFileError, unknown_name
from conductor_gym.language.options import LanguageOptions

CARD = "card.json"
ADAPTER_CONFIG = "adapter_config.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".zip")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")

EngineName = Literal["transformers", "vllm", "server", "litellm"]


class LLMSettings(StrictModel):
    """How a model conducts.

    Attributes:
        model: Folder or name of a model, folder of a trained conductor, or what a server serves.
        name: Of the row; by default that of the model.
        engine: ``"transformers"`` in this process, ``"vllm"`` likewise in an environment that has
            it, ``"server"`` (OpenAI's protocol at `base_url`), ``"litellm"`` (any provider).
        decoding: ``"constrained"``: every reply is a valid action; ``"free"``: it is parsed.
        examples: Section of llm_examples.toml that is told after the instructions; empty: none.
        max_prompt_tokens: Of a chat; the task's text is shortened until it fits.
        max_new_tokens: Of a free reply.
        temperature: 0 takes the likeliest token always.
        top_p: Share of probability to sample from.
        dtype: Of the weights in this process; ``"auto"``: what is fast here.
        batch: Episodes that are played side by side.
        base_url: Of a server.
        deadline_s: Seconds after which a call to a server is given up.
        api_key_env: Variable that holds the key of a server or provider.
        usd_per_m_input: Price of the conductor's own tokens, USD per million.
        usd_per_m_output: Likewise.
        ceiling_usd: Most that the conductor's own calls may cost, where they cost anything.
        journal: A ``.jsonl`` file that keeps the replies of a server or provider; what it holds is
            not asked again. Needed where calls cost anything.
        language: How episodes are told, see `LanguageOptions`.
    """

    model: str
    name: str = ""
    engine: EngineName = "transformers"
    decoding: Literal["constrained", "free"] = "constrained"
    examples: str = ""
    max_prompt_tokens: int = Field(default=1024, ge=256, le=1_000_000)
    max_new_tokens: int = Field(default=96, ge=1, le=100_000)
    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: int = Field(default=32, ge=1, le=100_000)
    base_url: str | None = None
    deadline_s: float = Field(default=120.0, gt=0.0, le=86_400.0)
    api_key_env: str | None = None
    usd_per_m_input: float = Field(default=0.0, ge=0.0)
    usd_per_m_output: float = Field(default=0.0, ge=0.0)
    ceiling_usd: float | None = Field(default=None, gt=0.0)
    journal: str | None = None
    language: dict[str, Any] = Field(default_factory=dict)


FROM_CARD = ("decoding", "examples", "max_prompt_tokens", "max_new_tokens", "language")
"""Settings that a trained conductor's card may hold: how it was trained to be asked."""


@dataclass(frozen=True)
class Conductor:
    """A model that is ready to be loaded.

    Attributes:
        settings: How it conducts.
        language: How episodes are told to it.
        name: Of its row.
        base: Folder of its weights or of those of its base, or a name on the hub; what a server
            serves.
        adapter: Folder of its adapter, None where it has none.
        card: Of a trained conductor; else what is known of the model.
    """

    settings: LLMSettings
    language: LanguageOptions
    name: str
    base: str
    adapter: Path | None
    card: dict[str, Any]


def read_conductor(model: Path) -> Conductor:
    """What a `--model` names.

    Raises:
        ConfigError: Settings that are wrong, a base model that is nowhere.
        DataFileError: Files that are missing, broken, or of a kind that is not loaded.
    """
    if model.suffix == ".toml":
        if not model.is_file():
            raise DataFileError(f"{model} does not exist (looked in {Path.cwd()}).")
        settings = load_toml(model, LLMSettings)
        return _conductor(settings, settings.model_fields_set, settings.name or model.stem)
    return _conductor(LLMSettings(model=str(model)), {"model"}, "")


def _conductor(settings: LLMSettings, told: set[str], name: str) -> Conductor:
    """Settings together with the card of the model that they name.

    Args:
        settings: As they were given.
        told: Fields that were given; the card says the others.
        name: Of the row; empty: that of the model.
    """
    if settings.engine in ("server", "litellm"):
        shown = name or settings.model.rpartition("/")[2]
        return Conductor(
            settings, language_options(settings.language), _checked(shown), settings.model, None, {}
        )
    folder = Path(settings.model).expanduser()
    _refuse_pickles(folder)
    if not (folder / CARD).is_file():
        base = find_base(settings.model)
        _refuse_pickles(Path(base))
        shown = name or Path(base).name
        return Conductor(
            settings, language_options(settings.language), _checked(shown), base, None, {}
        )
    card = _read_card(folder)
    kept = {key: card[key] for key in FROM_CARD if key in card and key not in told}
    try:
        whole = LLMSettings(**(settings.model_dump(include=told) | kept))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataFileError(f"{folder / CARD}: {where}: {first['msg']}.") from None
    language = language_options(whole.language)
    shown = _checked(name or _name_of(card, folder))
    if not (folder / ADAPTER_CONFIG).is_file():
        if not is_model(folder):
            raise DataFileError(
                f"{folder}: a card, but neither an adapter ({ADAPTER_CONFIG} and "
                "adapter_model.safetensors) nor a model (config.json and safetensors)."
            )
        return Conductor(whole, language, shown, str(folder), None, card)
    return Conductor(whole, language, shown, _base_of(folder, card), folder, card)


def language_options(given: dict[str, Any]) -> LanguageOptions:
    """Options by name, as `LanguageOptions.as_dict` gives them.

    Raises:
        ConfigError: Values that are wrong.
        UnknownNameError: There is no such option.
    """
    known = [field.name for field in fields(LanguageOptions)]
    for name in given:
        if name not in known:
            raise unknown_name("language option", name, known)
    values = dict(given)
    if "hidden" in values:
        hidden: object = values["hidden"]
        if not isinstance(hidden, list | tuple):
            raise ConfigError(f"hidden must be a list, got {hidden!r}.")
        values["hidden"] = tuple(cast("list[Any]", hidden))
    return LanguageOptions(**values)


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    try:
        card: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} is not a model card: {error}.") from None
    if not isinstance(card, dict) or "algorithm" not in card:
        raise DataFileError(f"{path} is not a model card: it names no algorithm.")
    found = cast("dict[str, Any]", card)
    if found["algorithm"] != "llm":
        raise ConfigError(
            f"{folder} was trained with {found['algorithm']!r}: score it as agent "
            f"{found['algorithm']!r}, not as 'llm'."
        )
    return found


def _name_of(card: dict[str, Any], folder: Path) -> str:
    """What a card calls its conductor; else the base and the last stage of its training."""
    if card.get("name"):
        return str(card["name"])
    try:
        base, stage = card["base"]["name"], card["stages"][-1]["stage"]
    except (KeyError, IndexError, TypeError):
        return folder.resolve().name
    return f"{str(base).rpartition('/')[2]}-{stage}"


def _base_of(folder: Path, card: dict[str, Any]) -> str:
    """The base model that an adapter's card names, its weights checked where a hash stands there.

    Raises:
        DataFileError: No base is named, or one of other weights is found.
        ConfigError: It is nowhere.
    """
    named: object = card.get("base")
    base = cast("dict[str, Any]", named) if isinstance(named, dict) else {}
    name = base.get("name")
    if not isinstance(name, str) or not name:
        raise DataFileError(f"{folder / CARD}: an adapter's card must name its base as base.name.")
    try:
        found = find_base(name)
    except ConductorError as error:
        raise ConfigError(f"{folder} is an adapter of base model {name!r}: {error}") from None
    _refuse_pickles(Path(found))
    stated = base.get("hash")
    if stated is not None and Path(found).is_dir():
        real = weights_hash(Path(found))
        if real != stated:
            raise DataFileError(
                f"{folder} was trained on other weights than those of {found}: hash {stated} "
                f"there, {real} here. Bring the weights that it names as {name!r}."
            )
    return found


def _refuse_pickles(folder: Path) -> None:
    """Say why files are not loaded, where a folder holds pickles and no safetensors.

    Raises:
        DataFileError: It does; or it holds one model a training seed.
    """
    if folder.suffix in PICKLES and folder.is_file():
        foreign = [folder.name]
    elif folder.is_dir() and not any(folder.glob("*.safetensors")):
        foreign = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    else:
        return
    if foreign:
        raise DataFileError(
            f"{folder}: {foreign[0]} is refused. Files of this kind are pickles: whoever loads one "
            "runs the code inside it. Save the weights as safetensors."
        )
    seeds = sorted(path.parent.name for path in folder.glob(f"seed-*/{CARD}"))
    if seeds:
        raise DataFileError(f"{folder} holds a model a training seed: name {folder / seeds[0]}.")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a conductor's name is of letters, digits, dots and dashes, at most 80; got {name!r}."
        )
    return name
