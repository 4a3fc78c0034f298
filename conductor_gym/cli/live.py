"""What the commands over live workers share: their journal, ceiling and progress."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import ProgressColumn, Task
from rich.text import Text

from conductor_gym.cli.terminal import messages
from conductor_gym.errors import ConfigError
from conductor_gym.types import NANO_USD

if TYPE_CHECKING:
    from conductor_gym.live.engine import LiveEngine
    from conductor_gym.live.options import LiveOptions


class CallsColumn(ProgressColumn):
    """Calls, cost so far, rate and errors of the engine that plays now."""

    def __init__(self) -> None:
        super().__init__()
        self._engine: LiveEngine | None = None
        self._told = set[str]()

    def watch(self, engine: "LiveEngine") -> None:
        """Show this engine's calls from now on, and what could not be read of its journal."""
        self._engine = engine
        for warning in engine.warnings:
            if warning not in self._told:
                messages().print(f"[yellow]{escape(warning)}[/]")
            self._told.add(warning)

    def render(self, task: Task) -> Text:
        """See `ProgressColumn.render`."""
        del task
        told = None if self._engine is None else self._engine.caller.progress()
        if told is None:
            return Text("")
        failed = sum(told.failed.values())
        errors = f", {failed} failed" if failed else ""
        return Text(
            f"{told.calls} calls, {told.cached} from the journal, ${told.spent / NANO_USD:.4f}, "
            f"{told.per_second:.1f}/s{errors}"
        )


def live_options(
    journal: Path | None, ceiling_usd: float | None, concurrent: int, home: Path
) -> "LiveOptions":
    """Options of a run on live workers.

    Args:
        journal: File of the calls; `home` where None.
        ceiling_usd: USD that may be spent.
        concurrent: Calls at the same time.
        home: Where the journal is kept unless told.

    Raises:
        ConfigError: No ceiling.
    """
    from conductor_gym.live.options import LiveOptions

    if ceiling_usd is None:
        raise ConfigError(
            "calls to live workers cost money: say how many USD this run may spend with "
            "--budget-usd, such as --budget-usd 1. No call is made that could pass it."
        )
    return LiveOptions(home if journal is None else journal, ceiling_usd, concurrent)
