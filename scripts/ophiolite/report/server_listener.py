"""The listening side of the results server: a thread per connection, of which there are only so many."""

from __future__ import annotations

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A connection that says nothing for so long, or takes nothing, is closed; more than so many at once are turned away.
IDLE_S = 60
MOST_CONNECTIONS = 128


def listener(bind: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server that listens on an address, not yet serving; raises OSError or OverflowError where it cannot."""
    return (_Listener6 if ":" in bind else _Listener)((bind, port), handler)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread of its own, or close it where all are taken."""
        if self._places.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no thread to be had
                self._places.release()
                raise
        else:
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where a browser went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class _Listener6(_Listener):
    address_family = socket.AF_INET6
