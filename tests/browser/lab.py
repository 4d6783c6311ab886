"""A JupyterLab or Notebook 7 server with a kernel, and what a user does in it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Error, Locator, expect

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, path)
    return path


def until(file: Path) -> str:
    """Return a cell that keeps the kernel busy until a file exists."""
    return f"import os, time\nwhile not os.path.exists({str(file)!r}):\n    time.sleep(0.05)"


def stop_all(head: Locator) -> None:
    """Click Stop in a dashboard's header and confirm it, again if a busy machine lets the question time out."""
    for attempt in range(10):
        head.get_by_role("button", name="Stop").click()
        try:
            head.get_by_role("button", name="Yes").click(timeout=4000 if attempt < 9 else None)
        except Error:
            continue
        return


class Server:
    """A Jupyter server for tests, on loopback.

    Args:
        root: the folder of the notebooks.
        settings: a folder for everything that Jupyter stores in the home folder otherwise.
        app: "lab" or "notebook".
        dark: whether to use the dark theme.
    """

    def __init__(self, root: Path, settings: Path, app: str = "lab", *, dark: bool = False) -> None:
        self.app = app
        themes = settings / "user" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        themes.parent.mkdir(parents=True)
        themes.write_text(json.dumps({"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}))
        news = themes.with_name("notification.jupyterlab-settings")
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        folders = {f"JUPYTER_{name}_DIR": str(settings / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        command = [sys.executable, "-m", app if app == "notebook" else "jupyterlab", "--allow-root", "--no-browser"]
        options = {
            "ServerApp.port": port,
            "ServerApp.token": "",
            "ServerApp.password": "",
            "ServerApp.disable_check_xsrf": True,
            "ServerApp.root_dir": root,
            "LabServerApp.user_settings_dir": settings / "user",
            "LabServerApp.workspaces_dir": settings / "workspaces",
        }
        self._log = (settings / "server.log").open("wb")
        self._process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            env={**os.environ, **folders, "IPYTHONDIR": str(settings / "ipython")},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/api", timeout=2).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((settings / "server.log").read_text()) from None
                time.sleep(0.2)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def kernels(self) -> list[dict[str, Any]]:
        for _ in range(50):
            try:
                with urllib.request.urlopen(f"{self.url}/api/kernels", timeout=10) as answer:
                    return list(json.load(answer))
            except urllib.error.HTTPError as error:
                if error.code != 500:
                    raise
                time.sleep(0.1)  # Jupyter's server cannot list a kernel that it is about to start
        raise AssertionError("Jupyter's server cannot list its kernels")

    def end_kernels(self) -> None:
        """Shut down all kernels, so that each stops what it has started."""
        for kernel in self.kernels():
            request = urllib.request.Request(f"{self.url}/api/kernels/{kernel['id']}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()

    def close(self) -> None:
        try:
            self.end_kernels()
        finally:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._log.close()


class Notebook:
    """An open notebook.

    Args:
        page: the browser's page.
        server: the Jupyter server.
        name: the notebook's file name.
    """

    def __init__(self, page: Any, server: Server, name: str) -> None:
        self.page, self._server, self._name = page, server, name
        # On a busy machine JupyterLab may ask for a kernel although it has shown one as idle, or report that one of its
        # own requests was too slow. nbtune opens no dialogs, so accepting them hides no error of nbtune.
        # One dialog may follow another, so no action waits for the end of all of them.
        page.add_locator_handler(page.locator("dialog.jp-Dialog"), self._accept, no_wait_after=True)
        self.open()

    def _accept(self, dialog: Any) -> None:
        print(f"JupyterLab opened a dialog: {dialog.first.text_content()}")
        dialog.first.locator("button.jp-mod-accept").click()

    def open(self) -> None:
        """Open or reload the notebook, and wait until its kernel is idle."""
        where = "notebooks" if self._server.app == "notebook" else "lab/tree"
        reset = "" if self._server.app == "notebook" else "?reset"
        for _ in range(2):
            self.page.goto(f"{self._server.url}/{where}/{self._name}{reset}")
            self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
            self._wait_for_kernel()
            self.idle()
            dialog = self.page.locator("dialog.jp-Dialog")
            if not dialog.count():
                return
            message = dialog.first.text_content()  # on a busy machine a request of the frontend may be too slow
        raise AssertionError(f"the notebook opened twice with a dialog: {message}")

    def _wait_for_kernel(self) -> None:
        """Wait until the page is connected to a kernel: before, it looks idle, and would ask for one."""
        until = time.monotonic() + 60
        while not any(kernel["connections"] for kernel in self._server.kernels()):
            assert time.monotonic() < until, "the notebook has no kernel"
            self.page.wait_for_timeout(100)

    @property
    def prompts(self) -> list[str]:
        """The prompts of the code cells, such as "[7]:", in their order."""
        found = "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(e => e.textContent)"
        return list(self.page.evaluate(found))

    @property
    def is_idle(self) -> bool:
        """Whether the kernel is idle."""
        status = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status"
        return bool(self.page.evaluate(status) == "idle")

    def idle(self, timeout: float = 90) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(
            "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'",
            timeout=timeout * 1000,
        )

    def cell(self, number: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def start(self, number: int) -> Any:
        """Start a cell; return it."""
        cell = self.cell(number)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.text_content()
        for _ in range(5):  # a page that is not fully loaded may lose a key
            cell.locator(".cm-content").click()
            self.idle()
            self.page.keyboard.press("Control+Enter")
            until = time.monotonic() + 10
            while time.monotonic() < until:
                if prompt.text_content() != before:
                    return cell
                self.page.wait_for_timeout(50)
        raise AssertionError(f"cell {number} did not start")

    def run(self, number: int, timeout: float = 90) -> Any:
        """Run a cell and wait for its end; return it."""
        cell = self.start(number)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=timeout * 1000)
        return cell

    def replace(self, number: int, text: str) -> None:
        """Replace the text of a cell."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def run_all(self, started: Callable[[], bool]) -> None:
        """Start all cells; `started` tells whether the first one has started."""
        self._start_cells("Run All Cells", started)

    def run_from_heading(self, heading: str, started: Callable[[], bool]) -> None:
        """Start all cells from a heading on."""
        line = self.page.locator("h1, h2, h3").filter(has_text=re.compile(f"^{re.escape(heading)}"))
        self.page.locator(".jp-MarkdownCell").filter(has=line).click()
        self._start_cells("Run Selected Cell and All Below", started)

    def _start_cells(self, command: str, started: Callable[[], bool]) -> None:
        for _ in range(5):  # JupyterLab may ask for a kernel instead
            self._menu("Run", command)
            until = time.monotonic() + 10
            while time.monotonic() < until:
                if started():
                    return
                self.page.wait_for_timeout(100)
                self.page.locator(".jp-NotebookPanel-toolbar").first.hover()  # any action first accepts a dialog
        raise AssertionError(f"{command}: nothing started")

    def restart_kernel(self) -> None:
        """Restart the kernel, as its user does."""
        self._menu("Kernel", "Restart Kernel…")
        self.page.wait_for_function("document.querySelector('dialog.jp-Dialog')")
        self.cell(0).hover()  # any action first accepts the dialog
        self.idle()

    def _menu(self, menu: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel").get_by_text(menu, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(command, exact=True).click()

    def save(self) -> None:
        """Save the notebook and wait until it is saved."""
        self.page.keyboard.press("Control+s")
        self.page.wait_for_function("!document.querySelector('.jp-mod-dirty')", timeout=20_000)
