"""Somebody before Airflow's web UI, in a real browser: signs in, goes to pages, sees, clicks, and keeps pictures.

Rules:
- Whatever a page writes to the console as an error, or fails to load, is collected, and a test looks at it.
- Pictures go to `build/screenshots`, which CI keeps.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from loopback.servers import ProgramMissing

PICTURES: Final = Path(os.environ.get("LOCKSTEP_SCREENSHOTS") or Path(__file__).parents[2] / "build" / "screenshots")
PATIENCE: Final = 60_000.0  # ms for something to appear, on a machine that has other things to do
OURS: Final = "[data-lockstep]"  # the root of what Lockstep draws, in each place
SERIOUS: Final = ("serious", "critical")
SIZE: Final = {"width": 1440, "height": 900}
NARROW: Final = {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as a `with` block lasts.

    Raises:
        ProgramMissing: it is not installed.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise ProgramMissing("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])  # root has no sandbox
        try:
            yield browser
        finally:
            browser.close()


@dataclass(kw_only=True)
class Visitor:
    """A user who has signed in, and the page before them; `wrong` is what the page complained of."""

    name: str
    url: str
    page: Page
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def signed_in(
        cls,
        browser: Browser,
        url: str,
        name: str,
        password: str,
        *,
        language: str = "en",
        colours: Literal["light", "dark"] = "light",
        narrow: bool = False,
    ) -> "Visitor":
        """Open a browser of their own, and sign in by Airflow's form."""
        context = browser.new_context(
            locale=language, color_scheme=colours, viewport=NARROW if narrow else SIZE, base_url=url
        )
        # Airflow keeps what a user has chosen there; a colour scheme is not taken from the browser before that
        context.add_init_script(f"localStorage.setItem('theme', '{colours}')")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        visitor = cls(name=name, url=url, page=page)
        page.on("console", lambda message: visitor.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: visitor.wrong.append(str(error)))
        page.goto("/")
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(password)
        page.locator("button[type=submit]").click()
        page.wait_for_url(re.compile(re.escape(url) + r"/(?!auth)"))
        return visitor

    def go(self, path: str = "") -> Page:
        """One of Lockstep's pages, below /plugin/lockstep, once it is there."""
        self.page.goto(f"/plugin/lockstep{path}")
        expect(self.page.get_by_role("link", name=re.compile("Release groups|リリースグループ")).first).to_be_visible()
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        return self.page

    def sees(self, text: str | re.Pattern[str], *, within: Locator | None = None) -> Locator:
        """The first place that shows a text, once it is visible."""
        found = (within or self.page).get_by_text(text).first
        expect(found).to_be_visible()
        return found

    def picture(self, name: str) -> Path:
        """Keep what is seen."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def barriers(self) -> list[str]:
        """What keeps people with other senses or hands out: serious findings of axe on Lockstep's part of the page."""
        found = Axe().run(self.page, context={"include": [[OURS]]}).response["violations"]
        return [
            f"{one['id']}: {one['help']} ({node['html'][:160]})"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]

    def leave(self) -> None:
        """Close the browser of this visitor."""
        self.page.context.close()
