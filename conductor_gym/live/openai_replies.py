"""What an OpenAI-compatible server says, in the environment's words."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from conductor_gym.errors import ConfigError
from conductor_gym.live.messages import CallError, Completion
from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint

_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum context|maximum model length|prompt is too long"
    r"|too many (input )?tokens|input is too long",
    re.IGNORECASE,
)
_WITHHELD = re.compile(
    r"content.?(filter|policy|management)|moderation|safety system|flagged", re.IGNORECASE
)
_NO_MONEY = re.compile(r"insufficient.?(quota|balance|credit)", re.IGNORECASE)


def read_completion(body: bytes, asked: str, answers_as: tuple[str, ...]) -> Completion:
    """Read the body of a reply with status 200.

    Args:
        body: JSON, hopefully.
        asked: The model that was asked.
        answers_as: Other names that the model may give itself.

    Raises:
        CallError: `MALFORMED` where it is no chat reply, `UNAVAILABLE` where another model replied.
    """
    reply = _object(body)
    if reply is None:
        raise CallError(Status.MALFORMED, f"not a JSON object: {short(body)}", retry=True)
    return read_reply(reply, asked, answers_as)


def read_reply(reply: Mapping[str, Any], asked: str, answers_as: tuple[str, ...]) -> Completion:
    """Read a reply in OpenAI's form; see `read_completion`."""
    used = _fields(reply.get("usage"))
    tokens_in, tokens_out = _tokens(used, "prompt_tokens"), _tokens(used, "completion_tokens")
    billed = None if tokens_in is None and tokens_out is None else (tokens_in or 0, tokens_out or 0)
    if reply.get("error"):
        detail = f"an error in place of a reply: {short(str(reply['error']))}"
        raise CallError(Status.UNAVAILABLE, detail, retry=True, usage=billed)
    name = reply.get("model")
    if isinstance(name, str) and name and name not in answers_as and not name.startswith(asked):
        detail = f"model {short(name)!r} replied, {asked!r} was asked"
        raise CallError(Status.UNAVAILABLE, detail, retry=True, usage=billed)
    choices = reply.get("choices")
    choice = _fields(cast(list[Any], choices)[0]) if isinstance(choices, list) and choices else {}
    message = _fields(choice.get("message"))
    ended = choice.get("finish_reason")
    refusal = message.get("refusal") or _fields(message.get("provider_specific_fields")).get(
        "refusal"
    )
    if ended == "content_filter" or refusal:
        return Completion("", tokens_in, tokens_out, refused=True)
    text = _text(message.get("content"))
    if text is None:
        # A model that thinks may use up all its tokens before it says anything.
        if ended != "length":
            detail = f"a reply without content: {short(str(reply))}"
            raise CallError(Status.MALFORMED, detail, retry=True, usage=billed)
        text = ""
    return Completion(text, tokens_in, tokens_out)


def failure(
    where: str, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes
) -> CallError | ConfigError:
    """The error that a reply with another status than 200 is.

    Args:
        where: Worker and server, for messages.
        endpoint: For messages.
        status: HTTP status.
        headers: Of the reply.
        body: Of the reply.
    """
    said = short(body)
    detail = f"HTTP {status}: {said}"
    whole = body.decode(errors="replace")
    if status in (402, 429) and (status == 402 or _NO_MONEY.search(whole)):
        return ConfigError(f"{where}: the account has no money left ({detail}).")
    if status == 429:
        return CallError(Status.THROTTLED, detail, True, retry_after_s(headers))
    if status >= 500 or status in (408, 409, 425):
        return CallError(Status.UNAVAILABLE, detail, True, retry_after_s(headers))
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(whole)):
        return CallError(Status.OVERFLOW, detail)
    if status in (400, 403, 422) and _WITHHELD.search(whole):
        return CallError(Status.REFUSED, detail)
    if status in (401, 403):
        # Servers like to quote what they were given, so their words are left out.
        held = (
            f"the environment variable {endpoint.api_key_env} holds no key that it accepts"
            if endpoint.api_key_env
            else "no key was sent; name the variable that holds it as api_key_env"
        )
        return ConfigError(f"{where} refuses access (HTTP {status}): {held}.")
    if 300 <= status < 400:
        return ConfigError(f"{where} sends elsewhere (HTTP {status}): correct base_url.")
    return ConfigError(
        f"{where} does not accept the request for model {endpoint.model!r} ({detail}). Correct "
        "its [workers.live] section: model, temperature, top_p or extra."
    )


def model_names(body: bytes) -> tuple[str, ...]:
    """Names in a list of models; none where it is none."""
    listed = (_object(body) or {}).get("data")
    if not isinstance(listed, list):
        return ()
    names = [_fields(entry).get("id") for entry in cast(list[Any], listed)]
    return tuple(name for name in names if isinstance(name, str))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the other side asks to wait: a number, or an HTTP date."""
    said = headers.get("retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            date = parsedate_to_datetime(said)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def short(said: bytes | str) -> str:
    """At most 200 characters on one line."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return clean(" ".join(text.split())[:200])


def clean(text: str) -> str:
    """A text that can be written as UTF-8: JSON may hold halves of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], reply) if isinstance(reply, dict) else None


def _fields(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _tokens(used: dict[str, Any], name: str) -> int | None:
    """A count that the reply states; 0 is what servers and libraries fill in for unknown."""
    number = used.get(name)
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        return None
    return number


def _text(content: object) -> str | None:
    """Text of a message: a string, or a list of parts."""
    if isinstance(content, str):
        return clean(content)
    if isinstance(content, list):
        parts = [_fields(part).get("text") for part in cast(list[Any], content)]
        return clean("".join(part for part in parts if isinstance(part, str)))
    return None
