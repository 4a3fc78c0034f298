"""What a journal holds: requests, replies, grades, and what was spent."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor_gym.live.messages import ChatReply, ChatRequest, Message
from conductor_gym.recordings.journal_lines import JournalLines, Record
from conductor_gym.types import Status


@dataclass
class Calls:
    """The calls of a journal, each under its request's key.

    Attributes:
        path: The journal.
        header: Its first line; empty where it is lost.
        requests: What was asked, in the order of the file; a request whose line is lost is
            missing here, its reply is not.
        replies: What came back.
        outcomes: What the replies were taken for, as given to `Journal.graded`.
        worst: nano-USD that a call that was sent may have cost at most.
        warnings: Lines that could not be read, for people.
        ends_whole: Whether the file ends with a newline.
    """

    path: Path
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    requests: dict[str, ChatRequest] = field(default_factory=dict[str, ChatRequest])
    replies: dict[str, ChatReply] = field(default_factory=dict[str, ChatReply])
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    worst: dict[str, int] = field(default_factory=dict[str, int])
    warnings: tuple[str, ...] = ()
    ends_whole: bool = True

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Keys of calls that were sent and have no reply: they may have been billed."""
        return tuple(key for key in self.worst if key not in self.replies)

    @property
    def spent(self) -> int:
        """nano-USD of all replies, and the worst price of the calls without one."""
        billed = sum(reply.cost for reply in self.replies.values())
        return billed + sum(self.worst[key] for key in self.unanswered)

    def take(self, record: Record) -> None:
        """Add a line. Of two lines that tell the same, the later one counts."""
        kind, key = record["kind"], record.get("key", "")
        if kind == "header":
            self.header = self.header or record
        elif kind == "sent":
            self.worst[key] = record["worst"]
        elif kind == "dropped":
            self.worst.pop(key, None)
        elif kind == "reply":
            self.replies[key] = reply_of(record)
        elif kind == "graded":
            self.outcomes[key] = record["outcome"]
        if "request" in record:
            self.requests[key] = request_of(record["request"])


def load_journal(path: Path | str) -> Calls:
    """Read a journal, also while a run writes it.

    Args:
        path: ``.jsonl``, or ``.jsonl.gz`` for one that was compressed afterwards.

    Raises:
        DataFileError: No such file, no journal, or one of a later format.
    """
    lines = JournalLines(Path(path))
    calls = Calls(lines.path)
    for _, record in lines:
        calls.take(record)
    calls.warnings, calls.ends_whole = lines.warnings, lines.ends_whole
    return calls


def request_record(request: ChatRequest) -> Record:
    """A request as a journal holds it."""
    return {
        "worker": request.worker,
        "model": request.model,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "settings": dict(request.settings),
        "template": request.template,
        "attempt": request.attempt,
        "luck": request.luck,
        "about": dict(request.about),
    }


def request_of(record: Record) -> ChatRequest:
    """The request that a record tells of."""
    said = dict(record)
    messages = tuple(Message(role, content) for role, content in said.pop("messages"))
    return ChatRequest(messages=messages, **said)


def reply_record(reply: ChatReply) -> Record:
    """A reply as a journal holds it; what has its usual value is left out."""
    usual = ChatReply(Status.OK, "")._asdict()
    said = {name: value for name, value in reply._asdict().items() if value != usual[name]}
    return said | {"status": reply.status.name.lower(), "text": reply.text}


def reply_of(record: Record) -> ChatReply:
    """The reply that a record tells of."""
    said = {name: record[name] for name in ChatReply._fields if name in record}
    return ChatReply(Status[said.pop("status").upper()], **said)
