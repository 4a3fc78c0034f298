"""`conductor-gym fetch`: get a public set of recorded outcomes."""

from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from conductor_gym.cli.lists import print_rows
from conductor_gym.cli.terminal import AsJson, messages, print_json, progress


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="A shipped recording, or a card (.toml) of your own.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List what can be fetched.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get a public set of recorded outcomes into the folder of recorded tables."""
    from conductor_gym.recordings.detect import load_recording_card
    from conductor_gym.recordings.fetch import fetch_recording

    if show_list or name is None:
        print_rows(_fetchable(), as_json)
        return
    card = load_recording_card(name)
    console = messages()
    console.print(f"{card.title}\nlicence: {card.licence}\norigin:  {card.origin}", markup=False)
    if any(download.untested for download in card.downloads):
        console.print("The addresses were written down from the source and never tried.")
    with progress() as bars:
        fetched = fetch_recording(name, lambda download: _Bar(bars, download.megabytes))
    for table in fetched:
        state = "was here, unchanged" if table.was_here else "fetched"
        known = "as the card says" if table.pinned else "trusted on first use, checked from now on"
        console.print(f"{state}: {table.path}\nsha256:  {table.sha256} ({known})", markup=False)
    if as_json:
        print_json(
            [
                {
                    "path": str(t.path),
                    "sha256": t.sha256,
                    "pinned": t.pinned,
                    "was_here": t.was_here,
                }
                for t in fetched
            ]
        )


class _Bar:
    """A progress bar as pooch drives it: after each file it starts over to show 100 percent."""

    def __init__(self, bars: Progress, megabytes: float) -> None:
        self.total = 0
        self._bars = bars
        self._task: TaskID = bars.add_task("fetching, kB", total=megabytes * 1e3)
        self._file_is_done = False

    def update(self, amount: int) -> None:
        if not self._file_is_done:
            self._bars.advance(self._task, amount / 1e3)

    def reset(self) -> None:
        self._file_is_done = True

    def close(self) -> None:
        self._file_is_done = False


def _fetchable() -> list[dict[str, Any]]:
    from conductor_gym.recordings.card import list_recordings
    from conductor_gym.recordings.detect import load_recording_card
    from conductor_gym.recordings.fetch import is_here

    cards = [card for card in map(load_recording_card, list_recordings()) if card.downloads]
    return [
        {
            "recording": card.name,
            "licence": card.licence,
            "megabytes": round(sum(d.megabytes for d in card.downloads), 1),
            "data_is_here": is_here(card),
            "address_was_tried": not any(d.untested for d in card.downloads),
            "origin": card.origin,
        }
        for card in cards
    ]
