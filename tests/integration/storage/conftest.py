"""S3 and PostgreSQL for the tests of this folder, and a way to S3 that fails when told to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from jobs.storage import s3
from tests.servers import HOST, S3Server, moto_s3, postgres_server, postgres_url

__all__ = ["moto_s3", "postgres_server", "postgres_url"]


class CuttingProxy:
    """Passes HTTP on to a server; answers to requests that hold `marker` are cut off after `keep_bytes`, `times` times."""

    def __init__(self, server: S3Server) -> None:
        host, port = server.endpoint.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server((HOST, 0))
        self.endpoint = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self.marker, self.keep_bytes, self.times, self.count_cut = b"", 0, 0, 0
        self.requests: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self, marker: bytes, *, keep_bytes: int, times: int) -> None:
        self.marker, self.keep_bytes, self.times = marker, keep_bytes, times

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One request a connection: the server is told to close after its answer."""
        with closing(client), closing(socket.create_connection(self._server)) as server:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            line = head.split(b"\r\n", 1)[0]
            self.requests.append(line)
            server.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            is_cut = bool(self.marker) and self.marker in line and self.count_cut < self.times
            self.count_cut += is_cut
            left = self.keep_bytes if is_cut else None
            while data := server.recv(65536):
                client.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        return


def _use(monkeypatch: pytest.MonkeyPatch, server: S3Server, endpoint: str) -> None:
    for name, value in (server.environment | {"AWS_ENDPOINT_URL": endpoint}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "PAUSES_SECONDS", (0, 0, 0))
    monkeypatch.setattr(s3, "_MAX_ATTEMPTS", 1)  # boto3's own retries would hide what is tested
    s3.client.cache_clear()


@pytest.fixture
def s3_store(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """S3 as the environment's own."""
    _use(monkeypatch, moto_s3, moto_s3.endpoint)
    yield moto_s3
    s3.client.cache_clear()


@pytest.fixture
def proxy(moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """S3 as the environment's own, by way of a proxy."""
    proxy = CuttingProxy(moto_s3)
    _use(monkeypatch, moto_s3, proxy.endpoint)
    yield proxy
    s3.client.cache_clear()
    proxy.close()
