"""From the settings of a language environment to those of its episodes and of how they are told."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from conductor_gym.config import EnvConfig, check_settings
from conductor_gym.errors import ConfigError
from conductor_gym.language.options import Interface, LanguageOptions


def split_settings(
    settings: Mapping[str, Any], interface: Interface, also: tuple[str, ...] = ()
) -> tuple[EnvConfig, LanguageOptions]:
    """What `gym.make` was given, as `EnvConfig` and `LanguageOptions`.

    Args:
        settings: Fields of both by name. ``hidden`` may be one name.
        interface: Of the environment, so no setting.
        also: Names that the environment takes besides, for the error alone.

    Raises:
        ConductorError: A setting that does not exist, or a value that none may have.
    """
    told = {field.name for field in fields(LanguageOptions)} - {"interface"}
    if interface == "text":
        told.remove("rounds")
    check_settings(settings, also=(*sorted(told), *also))
    options = {name: value for name, value in settings.items() if name in told}
    hidden = options.get("hidden", ())
    if isinstance(hidden, str):
        options["hidden"] = (hidden,)
    elif not isinstance(hidden, list | tuple | set | frozenset):
        raise ConfigError(f"hidden must be a list of names, got {hidden!r}.")
    episodes = {name: value for name, value in settings.items() if name not in told}
    return EnvConfig(**episodes), LanguageOptions(interface=interface, **options)
