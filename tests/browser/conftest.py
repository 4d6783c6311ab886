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

pytest.register_assert_rewrite("tests.notebooks.outputs")
expect.set_options(timeout=20_000)  # other tests run in parallel
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


@pytest.fixture(scope="package")  # Playwright's event loop runs until it is closed, which other tests must not see
def browser() -> Iterator[Browser]:
    """The Chromium of this machine, or Playwright's own; `make browser` installs one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of the preview pages."""
    with server() as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture(scope="package")
def window(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """One page for all tests, with its errors: loading a document takes a third of the time of opening a new page."""
    errors: list[str] = []

    def logged(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    context = browser.new_context(viewport={"width": 1100, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    opened.on("console", logged)
    opened.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    yield opened, errors
    context.close()


@pytest.fixture
def page(window: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page. The test fails if the page logs an error or has an uncaught exception."""
    opened, errors = window
    yield opened
    opened.mouse.move(0, 0)
    opened.goto("about:blank")  # stops everything of this test
    logged_errors = errors.copy()
    errors.clear()
    assert not logged_errors, "\n".join(logged_errors)


@pytest.fixture
def preview(page: Page, address: str) -> Callable[..., Page]:
    """Open the preview page with the parameters of its URL. What is outside the window is not drawn."""

    def show(scenario: str | int = 20, *, height: int = 800, **choice: str) -> Page:
        choice = {"scenario": str(scenario), "live": "0", **choice}
        page.set_viewport_size({"width": 1100, "height": height})
        page.goto(f"{address}/preview.html?{urlencode(choice)}")
        page.wait_for_selector("body[data-ready]")
        return page

    return show


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the notebooks of `lab`."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="package")
def lab(folder: Path, ray_folder: Path) -> Iterator[Server]:
    """One JupyterLab for all tests."""
    with Server(folder, folder / "settings") as started:
        yield started
