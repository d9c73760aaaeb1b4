"""`socketplane reach --probe`: what is expected beside what connections really do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from socketplane.cli.connect import Params, Session
from socketplane.cli.output import Column, Output, note, show, show_json
from socketplane.errors import Unavailable

AT_ONCE = 64
"""Connections in one request, as many as the API takes."""
WAIT, WAIT_AGAIN = 1.0, 3.0
"""Seconds without an answer that are silence; and for what contradicts, which is tried once more."""
_TRY = ("source", "destination", "protocol", "port", "version")
_WORDS = {"open": "reached", "refused": "reached, nobody listens", "timeout": "no answer", "unreachable": "no way there"}
_WRONG = "contradicts: "
Tried = dict[str, Any]
"""A sample with what became of it."""


def probe(session: Session, query: Params, output: Output) -> bool:
    """Try connections for all lines and show them; return whether nothing contradicts.

    Raises:
        Unavailable: there are connections to try, and of none anything came out.
    """
    samples = session.get("/v1/reach/samples", query)
    tried = _try(session, samples["items"], WAIT)
    wrong = [place for place, each in enumerate(tried) if each["agrees"] is False]
    for place, again in zip(wrong, _try(session, [tried[place] for place in wrong], WAIT_AGAIN), strict=True):
        tried[place] = again  # a host may just have been following a change, or a first packet was lost
    if output is Output.JSON:
        show_json({"items": tried, "complete": samples["complete"]})
    else:
        show(tried, COLUMNS, output)
    counts = Counter(each["agrees"] for each in tried)
    _tell(counts, complete=samples["complete"])
    if tried and not counts[True] and not counts[False]:
        raise Unavailable("no connection says anything", remedy=f"the first: {_observed(tried[0])}")
    return not counts[False]


def _try(session: Session, items: Sequence[Mapping[str, Any]], wait: float) -> list[Tried]:
    from socketplane import wire  # heavy: pydantic

    found: list[Tried] = []
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]
        wanted = {"items": [{key: item[key] for key in _TRY} for item in some], "wait": wait}
        answer = session.call("POST", "/v1/probes", wire.ProbeRequest.model_validate(wanted))
        found += [{**item, **result} for item, result in zip(some, answer["items"], strict=True)]
    return found


def _tell(counts: Mapping[bool | None, int], *, complete: bool) -> None:
    note(f"{counts[True]} as expected, {counts[False]} not, {counts[None]} without a result.")
    if not complete:
        note("There is more to try than the limit allows: --limit.")


def _end(group: str, name: str) -> str:
    return f"{group} ({name.partition('/')[2] or name})"


def _port(item: Mapping[str, Any]) -> str:
    return "ping" if item["port"] is None else f"{item['protocol']}/{item['port']}"


def _observed(item: Mapping[str, Any]) -> str:
    what = str(_WORDS.get(item["outcome"], item["detail"]))
    return (_WRONG if item["agrees"] is False else "") + what


COLUMNS = [
    Column("FROM", lambda item: _end(item["source_group"], item["source_name"])),
    Column("TO", lambda item: _end(item["destination_group"], item["destination_name"])),
    Column("PORT", _port),
    Column("EXPECTED", lambda item: item["expected"]),
    Column("OBSERVED", _observed, lambda cell: "bold red" if cell.startswith(_WRONG) else ""),
]
