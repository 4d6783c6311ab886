"""`python -m tests.browser.serve`: the preview page on a port of this machine."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

from nbtune.spec.forms.scaling import NEW_FORM, read_scaling
from nbtune.spec.forms.scaling_text import scaling_cell
from nbtune.views.base.assets import plotly_js
from nbtune.views.base.channel import script, styles
from tests.browser.space_kernel import SpaceKernel

WIDGETS = Path(__file__).parents[2] / "widgets"


space_kernel = SpaceKernel()


class Handler(SimpleHTTPRequestHandler):
    """Serves the files of `widgets/` uncached; the modules and CSS of widgets, and plotly.js, as Python sends them."""

    def do_GET(self) -> None:
        path = PurePosixPath(self.path.partition("?")[0])
        try:
            if path.name == "plotly.min.js.gz":
                self._send(plotly_js(), "application/gzip")
            elif path.parent.name == "widget" and path.suffix == ".js":
                self._send(script(path.stem).encode(), "text/javascript")
            elif path.parent.name == "widget":
                self._send(styles(path.stem).encode(), "text/css")
            else:
                super().do_GET()
        except FileNotFoundError as error:
            self.send_error(404, explain=str(error))

    def do_POST(self) -> None:
        """Let the Python part of a form answer; that of the form on a space with one line of JSON per message."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/scaling":
            self._send(json.dumps(read_form(**request)).encode(), "application/json")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        with suppress(ConnectionError):  # the page has been left
            for answer in space_kernel.answers(request["scenario"], request["message"]):
                self.wfile.write(json.dumps(answer).encode() + b"\n")
                self.wfile.flush()

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def read_form(fields: dict[str, Any], *, train_v2: bool) -> dict[str, Any]:
    """Return the fields of the scaling form with their errors and the cell."""
    fields = {**NEW_FORM, **fields}
    value, problems = read_scaling(fields, train_v2=train_v2)
    return {"fields": fields, "problems": problems, "cell": scaling_cell(value, fields) if value is not None else ""}


def server(port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the preview page; with port 0 on any free port."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(WIDGETS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    serving = server(parser.parse_args().port)
    print(f"http://127.0.0.1:{serving.server_port}/preview.html  (Ctrl-C ends it)")
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        sys.exit()


if __name__ == "__main__":
    main()
