"""A monitor that does nothing but answer requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge_asd.control.control_socket import ControlServer, Request


@contextmanager
def monitor(
    path: Path,
    answer: Callable[[Request], object],
    *,
    request_timeout_s: float = 0.5,
    settled: Callable[[], object] = lambda: None,
) -> Iterator[ControlServer]:
    """A monitor that answers between two blocks, until the block ends."""
    done = threading.Event()

    def poll(server: ControlServer) -> None:
        while not done.wait(0.005):
            while (request := server.poll()) is not None:
                answer(request)

    with closing(
        ControlServer(path, request_timeout_s=request_timeout_s, settled=settled)
    ) as server:
        thread = threading.Thread(target=poll, args=(server,))
        thread.start()
        try:
            yield server
        finally:
            done.set()
            thread.join()


def echo(request: Request) -> None:
    request.reply({"command": request.command, "arguments": dict(request.arguments)})


def control_threads() -> int:
    return sum(thread.name.startswith("control") for thread in threading.enumerate())
