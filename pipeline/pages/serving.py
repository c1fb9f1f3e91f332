"""Pages for a browser on this machine, and for nobody else."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action"
ASKING = f"{POLICY} 'self'"
"""Of a page that may ask where it comes from."""
WRITTEN = f"sandbox; {POLICY} 'none'"
"""Of a page that lies in an artifact, whoever wrote it."""


class Served(NamedTuple):
    """A page, and what it may do."""

    text: str
    policy: str


Serve = Callable[[str, str], Served | None]
"""An address and "zh" or "en" -> the page; None where there is no such thing."""


def language_of(accepted: str) -> str:
    """Of "zh" and "en" the one that a browser names first (Accept-Language), "en" where it names neither."""
    named = (tag.strip()[:2].lower() for tag in accepted.split(","))
    return next((name for name in named if name in ("zh", "en")), "en")


def handler(serve: Serve, port: int) -> type[BaseHTTPRequestHandler]:
    """Answers GET of a browser on this machine: a page elsewhere cannot read it by another name of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
                return self.send_error(403)
            try:
                found = serve(self.path, language_of(self.headers.get("Accept-Language", "")))
            except (ValueError, OSError) as error:  # an InputError, of rows or not; or it is just made again
                return self.send_error(500, explain=str(error))
            return self._send(found) if found else self.send_error(404)

        def _send(self, page: Served) -> None:
            body = page.text.encode("utf-8", "replace")
            self.send_response(200)
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
            headers |= {"Content-Security-Policy": page.policy, "X-Content-Type-Options": "nosniff"}
            for name, value in (headers | {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: who looks knows."""

    return Handler
