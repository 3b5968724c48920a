"""A client of the results server that asks for exactly what it is told."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass

from ophiolite.report.server import ResultsServer


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(server: ResultsServer, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request with the path exactly as given: no client-side tidying of `..`."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def connect(server: ResultsServer) -> socket.socket:
    """A connection to say anything on."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)
