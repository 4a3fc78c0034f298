"""`conductor-gym list`: what can be named."""

from typing import Annotated, Any

import typer
from rich.table import Table

from conductor_gym.cli.terminal import AsJson, print_json, tables
from conductor_gym.errors import DataFileError, unknown_name

LISTS = ("agents", "pools", "recordings", "suites", "tracks")


def list_(
    what: Annotated[str, typer.Argument(help="agents, pools, recordings, suites or tracks.")],
    as_json: AsJson = False,
) -> None:
    """List what can be named."""
    if what not in LISTS:
        raise unknown_name("list", what, LISTS)
    print_rows(_LISTERS[what](), as_json)


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table or as JSON."""
    if as_json:
        print_json(rows)
        return
    table = Table(show_edge=False, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    tables().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "" if value is None else str(value)


def _list_agents() -> list[dict[str, Any]]:
    from conductor_gym.agents.registry import agents

    return [
        {
            "agent": card.shown_as(name),
            "family": card.family,
            "what_it_does": card.summary,
            "learns_from": card.learns,
            "trained": card.trained,
            "privileged": card.privileged,
        }
        for name, card in agents().items()
    ]


def _list_pools() -> list[dict[str, Any]]:
    from conductor_gym.workers.pool import list_pools, load_pool

    return [
        {
            "pool": pool.name,
            "title": pool.title,
            "backend": pool.backend,
            "workers": list(pool.worker_names),
            "prices_as_of": pool.prices_as_of,
        }
        for pool in map(load_pool, list_pools())
    ]


def _list_recordings() -> list[dict[str, Any]]:
    from conductor_gym.recordings.card import list_recordings
    from conductor_gym.recordings.detect import load_recording_card
    from conductor_gym.recordings.fetch import is_here
    from conductor_gym.recordings.recording import load_recording

    rows: list[dict[str, Any]] = []
    for card in map(load_recording_card, list_recordings()):
        here = is_here(card)
        try:
            read = load_recording(card.name) if here else None
        except DataFileError:
            read = None  # a broken table is told when it is used
        rows.append(
            {
                "recording": card.name,
                "title": card.title,
                "queries": len(read.queries.uids) if read else None,
                "workers": len(read.outcomes.workers) if read else None,
                "licence": card.licence,
                "data_is_here": here,
                "can_be_fetched": bool(card.downloads),
            }
        )
    return rows


def _list_suites() -> list[dict[str, Any]]:
    from conductor_gym.tasks.overview import overview
    from conductor_gym.tasks.suite import list_suites, load_suite_card

    return [overview(load_suite_card(name)) for name in list_suites()]


def _list_tracks() -> list[dict[str, Any]]:
    from conductor_gym.leaderboard.tracks import tracks

    return [
        {
            "track": name,
            "title": track.title,
            "kind": track.kind,
            "pool": track.pool,
            "suite": track.suite,
            "data_is_here": track.is_available(),
        }
        for name, track in tracks().items()
    ]


_LISTERS = {
    "agents": _list_agents,
    "pools": _list_pools,
    "recordings": _list_recordings,
    "suites": _list_suites,
    "tracks": _list_tracks,
}
