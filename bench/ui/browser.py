"""Benchmark n: the pages of the web UI in a browser, at their full size, beside Airflow's own list of DAGs.

Rules:
- The server is that of benchmark k, the browser is Chromium without a window, 1440 × 900, both on this machine.
- A page is opened within the app that is loaded, as a click on a link does it. Its time ends with the first frame that
  shows its content: rows, not the bars that stand for them. The graph's own time is said besides: its layout
  is reckoned behind the page.
- Each page is opened `times` times, each time after another one. The median stands in the table, and the first time,
  when the server has not answered it yet, in the notes.
- Scrolling goes down 100 px a frame. What counts is the time between two frames; 60 a second are 16.7 ms.
- "Live" is from an entry in the log to the frame that shows it, on a page that somebody looks at.
- The peer is Airflow's list of DAGs in the same app: its first page of 50, and scrolling in it.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from bench.report import Aim, Report, Row, percentile
from bench.ui import company
from bench.ui.server import Server
from lockstep.registry import Held, Origin, Registry, Resumed

GROUPS, SMALL_GROUPS = 500, 20
TIMES, SMALL_TIMES = 7, 2
FIRST_PAINT: Final = 1000.0  # ms
SMOOTH: Final = 34.0  # ms between two frames: at most one of 60 a second is left out
LIVE: Final = 2000.0  # ms
FRAMES: Final = 150
STEP: Final = 100  # px of a frame: 6,000 px a second, a wheel that is turned fast
OURS: Final = "/plugin/lockstep"
_WHOLE, _BUSY = f"{OURS}/groups/{company.WHOLE}", f"{OURS}/groups/{company.BUSY}"

# what is opened: its address, what shows it, and a text in that
PAGES: Final = {
    "groups": (OURS, "[role=rowgroup] [role=row]", "group_"),
    "a group": (_WHOLE, "[data-lockstep] h2", company.WHOLE),
    "a group: its graph": (_WHOLE, ".react-flow__node", company.WHOLE),
    "a group of 300 nodes": (f"{OURS}/groups/{company.WIDE}", "[data-lockstep] h2", company.WIDE),
    "a group of 300 nodes: its graph": (f"{OURS}/groups/{company.WIDE}", ".react-flow__node", company.WIDE),
    "versions": (f"{_BUSY}/versions", "tbody a", company.BUSY),
    "a version": (f"{_WHOLE}/versions/{company.WHOLE}_first@4", "section table", "roc_auc"),
    "two versions compared": (
        f"{_WHOLE}/compare?refs={company.WHOLE}_first@4,{company.WHOLE}_first@3",
        "[aria-label='Compare versions'] tbody",
        "roc_auc",
    ),
    "releases": (f"{_BUSY}/releases", "[data-lockstep] li", "Released"),
    "data": (f"{_WHOLE}/data", "section table", "a_"),
    "a snapshot": (f"{_WHOLE}/data/{company.WHOLE}_rows@4", "section table", "a_0"),
    "warnings": (f"{OURS}/warnings", "table tbody a", "group_"),
    "search": (f"{OURS}/search?q=group_00", "[data-lockstep] a", "group_0001"),
}
SCROLLED: Final = ("groups", "versions", "releases", "a snapshot")
PEER: Final = ("/dags", "[data-testid=card-list], #main-content", "group_0000_release")

_OPEN: Final = """async ([path, selector, text]) => {
  const shown = () =>
    location.pathname === path.split("?")[0] &&
    [...document.querySelectorAll(selector)].some((one) => one.textContent.includes(text) && one.checkVisibility());
  const start = performance.now();
  history.pushState({ idx: history.length, key: String(start), usr: null }, "", path);
  dispatchEvent(new PopStateEvent("popstate", { state: history.state }));
  while (!shown()) {
    if (performance.now() - start > 60000) throw new Error(`${path} shows no ${text} in ${selector}`);
    await new Promise(requestAnimationFrame);
  }
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""

_SCROLL: Final = """async ([frames, step]) => {
  const isLong = (one) =>
    one.scrollHeight > one.clientHeight + 50 && ["auto", "scroll"].includes(getComputedStyle(one).overflowY);
  const long = [...document.querySelectorAll("*")].filter(isLong).sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
  if (!long) return [];
  const gaps = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame++) {
    long.scrollTop += long.scrollTop + long.clientHeight >= long.scrollHeight - 1 ? -long.scrollTop : step;
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - before);
    before = now;
  }
  return gaps;
}"""

_SEEN: Final = """async ([text, isThere]) => {
  const root = document.querySelector("[data-lockstep]");
  while (root.textContent.includes(text) !== isThere) await new Promise(requestAnimationFrame);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return Date.now();
}"""


def run(*, small: bool) -> Report:
    """Build the company, start server and browser, open every page, scroll, and wait for what changes."""
    groups, times = (SMALL_GROUPS, SMALL_TIMES) if small else (GROUPS, TIMES)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        registry = company.write_log(place / "registry", groups)
        variables = {company.VARIABLE: str(groups), "LOCKSTEP_REGISTRY": registry.uri}
        with (
            Server(home=place / "airflow", module="bench.ui.company", variables=variables) as server,
            _before_the_app(server) as page,
        ):
            size = f"{groups + 2} groups, one of 300 nodes, one of {5 * company.BUSY_ROUNDS * groups:,} versions"
            return _measured(page, registry, times, size)


@contextmanager
def _before_the_app(server: Server) -> Iterator[Page]:
    """Chromium with the app loaded, signed in."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise RuntimeError("Benchmark n needs Chromium: apt-get install chromium")
    token = server.client().headers["Authorization"].removeprefix("Bearer ")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])  # root has no sandbox
        context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.url, locale="en")
        context.add_cookies([{"name": "_token", "value": token, "url": server.url}])
        page = context.new_page()
        page.goto(f"{OURS}/warnings")
        page.locator("[data-lockstep] table").first.wait_for()
        yield page
        browser.close()


def _measured(page: Page, registry: Registry, times: int, size: str) -> Report:
    opened: dict[str, list[float]] = {name: [] for name in PAGES}
    peers = list[float]()
    for _ in range(times):
        for name, way in PAGES.items():
            if name.endswith("its graph"):  # of the page that is there: opened again from another one
                page.evaluate(_OPEN, PAGES["warnings"])
            opened[name].append(page.evaluate(_OPEN, way))
        peers.append(page.evaluate(_OPEN, PEER))
    beside = median(peers)
    rows = [Row(what=name, ours=median(took), peer=beside) for name, took in opened.items()]

    gaps: dict[str, list[float]] = {name: _scrolled(page, PAGES[name]) for name in SCROLLED}
    of_peer = _scrolled(page, PEER)
    rows += [
        Row(what=f"{name}: a frame while scrolling, 95 %", ours=percentile(gap, 0.95), peer=percentile(of_peer, 0.95))
        for name, gap in gaps.items()
    ]
    live = _live(page, registry, times)
    rows += [Row(what=f"a change is seen: {name}", ours=median(took)) for name, took in live.items()]

    slowest = max(opened, key=lambda name: median(opened[name]))
    roughest = max(gaps, key=lambda name: percentile(gaps[name], 0.95))
    latest = max(max(took) for took in live.values())
    first = ", ".join(f"{name} {took[0]:.0f} ms" for name, took in opened.items())
    return Report(
        title=f"The web UI's pages in a browser: {size}",
        peer="Airflow's list of DAGs",
        rows=rows,
        aims=[
            Aim(what=f"the slowest page ({slowest})", value=median(opened[slowest]), at_most=FIRST_PAINT, unit="ms"),
            Aim(what=f"scrolling ({roughest})", value=percentile(gaps[roughest], 0.95), at_most=SMOOTH, unit="ms"),
            Aim(what="the latest change of all", value=latest, at_most=LIVE, unit="ms"),
        ],
        notes=[
            f"the first time: {first}",
            f"most that a page ever took: {max(map(max, opened.values())):.0f} ms; Airflow's {max(peers):.0f} ms",
        ],
    )


def _scrolled(page: Page, way: tuple[str, str, str]) -> list[float]:
    """Milliseconds between the frames of a page that is scrolled down."""
    page.evaluate(_OPEN, way)
    page.wait_for_timeout(500)
    gaps: list[float] = page.evaluate(_SCROLL, [FRAMES, STEP])
    if not gaps:
        raise RuntimeError(f"{way[0]} is not long enough to be scrolled")
    return gaps


def _live(page: Page, registry: Registry, times: int) -> dict[str, list[float]]:
    """Milliseconds until a group that is put on hold, or goes on, is shown to be, by page."""
    group, origin = company.WHOLE, Origin(by="bench", why="to look whether it is seen")
    steps: tuple[tuple[Callable[..., Any], bool], ...] = ((Held, True), (Resumed, False))
    found = dict[str, list[float]]()
    for name, text in (("a group", "On hold"),):
        page.evaluate(_OPEN, PAGES[name])
        took = found.setdefault(name, [])
        for turn in range(times):
            for fact, is_there in steps:
                time.sleep(1 + turn * 0.13)  # not in step with the clock that looks
                registry.record(lambda _, fact=fact: fact(group=group), origin)
                written = time.time()
                took.append(1000 * (page.evaluate(_SEEN, [text, is_there]) / 1000 - written))
    return found
