"""A real browser, and the preview page in it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.lab import Server
from tests.browser.serve import server

expect.set_options(timeout=20_000)  # other tests run beside these
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="package")  # Playwright leaves a running event loop behind until it ends: not for other tests
def browser() -> Iterator[Browser]:
    """The Chromium of this machine, or else Playwright's own; `make browser` sees to it that there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the preview page is served."""
    with server() as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture(scope="package")
def window(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """One page for all tests, and its faults: the next document of a page is there in a third of a new page's time."""
    faults: list[str] = []

    def logged(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    context = browser.new_context(viewport={"width": 1100, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    opened.on("console", logged)
    opened.on("pageerror", lambda error: faults.append(f"{error}\n{error.stack}"))
    yield opened, faults
    context.close()


@pytest.fixture
def page(window: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page. The test fails where it logs an error or leaves an exception uncaught."""
    opened, faults = window
    yield opened
    opened.mouse.move(0, 0)
    opened.goto("about:blank")  # nothing of this test goes on in the next
    found = faults.copy()
    faults.clear()
    assert not found, "\n".join(found)


@pytest.fixture
def preview(page: Page, address: str) -> Callable[..., Page]:
    """Open the preview page; its choices are named as in its URL. What is not in the window is not drawn."""

    def show(scenario: str | int = 20, *, height: int = 800, **choice: str) -> Page:
        choice = {"scenario": str(scenario), "live": "0", **choice}
        page.set_viewport_size({"width": 1100, "height": height})
        page.goto(f"{address}/preview.html?{urlencode(choice)}")
        page.wait_for_selector("body[data-ready]")
        return page

    return show


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks of `lab` are."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="package")
def lab(folder: Path, ray_folder: Path) -> Iterator[Server]:
    """One JupyterLab for all tests."""
    with Server(folder, folder / "settings") as started:
        yield started
