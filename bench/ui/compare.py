"""Benchmark k: what the web UI's routes cost the API server, beside Airflow's own page of DAGs in the same server.

Rules:
- One server process, without a scheduler: Airflow's own API server app, with the DAGs of all groups in its database.
- What counts is the processor time of that process, which does nothing else: neither the network nor other programs of
  the machine are in it. What its threads do behind an answer is.
- "Cold" is the first answer after something has changed in the log, "again" one that was made before, "304" one that
  the browser has. Between two of a kind half a second passes, so that the registry and Airflow are looked at each time.
- The peer is `/ui/dags` with its default page of 50 DAGs, asked in turn with ours; Airflow has no 304.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx

from bench.report import Aim, Report, Row, percentile
from bench.ui import company
from bench.ui.server import Server
from lockstep.registry import Origin, Promoted, Registry

GROUPS, SMALL_GROUPS = 500, 20
TIMES, SMALL_TIMES = 8, 2
MS: Final = 1000.0
WARM: Final = 300.0  # ms
KNOWN: Final = 15.0  # ms
PEER: Final = "/ui/dags?limit=50"
PAUSE: Final = 0.55  # seconds: longer than the reader's own
ROUTES: Final = {
    "groups": "/groups",
    "a group": f"/groups/{company.WHOLE}",
    "a group of 300 nodes": f"/groups/{company.WIDE}",
    "versions": f"/groups/{company.WHOLE}/versions",
    "a model version": f"/groups/{company.WHOLE}/versions/{company.WHOLE}_first@4",
    "a threshold version": f"/groups/{company.WHOLE}/versions/{company.WHOLE}_cut@4",
    "history": f"/groups/{company.WHOLE}/history",
    "data": f"/groups/{company.WHOLE}/data",
    "a snapshot": f"/groups/{company.WHOLE}/snapshots/{company.WHOLE}_rows@4",
    "drift": f"/groups/{company.WHOLE}/drift",
    "warnings": "/warnings",
    "search": "/search?q=group_00",
    "search by hash": "/search?q=abcdef",
    "summary": "/summary",
}


def run(*, small: bool) -> Report:
    """Build the company, start the server, measure."""
    groups, times = (SMALL_GROUPS, SMALL_TIMES) if small else (GROUPS, TIMES)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        registry = company.write_log(place / "registry", groups)
        versions = sum(len(past) for kind in ("snapshots", "models", "thresholds") for past in _pasts(registry, kind))
        variables = {company.VARIABLE: str(groups), "LOCKSTEP_REGISTRY": registry.uri}
        with Server(home=place / "airflow", module="bench.ui.company", variables=variables) as server:
            return _measured(server, registry, times, f"{groups + 1} groups, {versions} versions")


def _pasts(registry: Registry, kind: str) -> list[Any]:
    return list(getattr(registry.state(), kind).values())


def _measured(server: Server, registry: Registry, times: int, size: str) -> Report:
    client = server.client()
    _ask(client, PEER)
    first = _timed(server, "/lockstep/api/groups")[0]
    for path in ROUTES.values():  # libraries, drift and files are there from now on
        _ask(client, f"/lockstep/api{path}")
    rows, worst, known = [Row(what="the first answer: the log is read", ours=first)], dict[str, float](), list[float]()
    for name, path in ROUTES.items():
        address = f"/lockstep/api{path}"
        cold, again, same, peer = list[float](), list[float](), list[float](), list[float]()
        for _ in range(times):
            _promote(registry)
            time.sleep(PAUSE)
            cold.append(_timed(server, address)[0])
            took, etag = _timed(server, address)
            again.append(took)
            time.sleep(PAUSE)
            same.append(_timed(server, address, etag)[0])
            peer.append(_timed(server, PEER)[0])
        beside = median(peer)
        rows += [
            Row(what=f"{name}: cold", ours=median(cold), peer=beside),
            Row(what=f"{name}: again", ours=median(again), peer=beside),
            Row(what=f"{name}: 304", ours=median(same), peer=beside),
        ]
        worst[name] = median(cold)
        known += same
    slowest = max(worst, key=worst.__getitem__)
    return Report(
        title=f"The web UI's routes at {size}",
        peer=f"Airflow's own {PEER} of the same server",
        rows=rows,
        aims=[
            Aim(what=f"the slowest answer anew ({slowest})", value=worst[slowest], at_most=WARM, unit="ms"),
            Aim(what="an answer that the browser has (median of all)", value=median(known), at_most=KNOWN, unit="ms"),
        ],
        notes=[f"of all 304, 95 % take at most {percentile(known, 0.95):.1f} ms"],
    )


def _ask(client: httpx.Client, path: str, etag: str = "") -> str:
    """The ETag of an answer; one that the browser has must be 304."""
    answer = client.get(path, headers={"If-None-Match": etag} if etag else {})
    if answer.status_code != (304 if etag else 200):
        raise RuntimeError(f"{path} was answered with {answer.status_code}: {answer.text[:500]}")
    return answer.headers.get("etag", "")


def _timed(server: Server, path: str, etag: str = "") -> tuple[float, str]:
    """Milliseconds of the server's processor that an answer takes, and its ETag."""
    before = server.do("spent")
    found = _ask(server.client(), path, etag)
    return MS * (float(server.do("spent")) - float(before)), found


def _promote(registry: Registry) -> None:
    """Change something: the newest versions of a group go to staging once more."""
    state = registry.state()
    members = {"model:group_0001_first": state.model("group_0001_first").digest}
    registry.record(lambda _: Promoted(group="group_0001", members=members), Origin(by="bench"))
