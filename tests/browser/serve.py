"""`python -m tests.browser.serve`: the preview page on a port of this machine, with the installed plotly.js."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nbtune.views.assets import plotly_js

WIDGETS = Path(__file__).parents[2] / "widgets"


class Handler(SimpleHTTPRequestHandler):
    """The files of `widgets/`, always as they are now, and plotly.js as the kernel sends it."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/plotly.min.js.gz":
            self.send_response(200)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Content-Length", str(len(plotly_js())))
            self.end_headers()
            self.wfile.write(plotly_js())
        else:
            super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the preview page; port 0 is any that is free."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(WIDGETS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    serving = server(parser.parse_args().port)
    print(f"http://127.0.0.1:{serving.server_port}/preview.html  (Ctrl-C ends it)")
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        sys.exit()


if __name__ == "__main__":
    main()
