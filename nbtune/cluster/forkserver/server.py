"""The fork server: a process that has everything imported, and of which each worker process is a copy.

A program that the raylet's first worker process has started (see `nbtune.cluster.forkserver.launcher`), and that ends
with the raylet.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple


class Request(NamedTuple):
    """A program to run: its command line, environment, working directory, and standard files."""

    arguments: list[str]
    variables: dict[str, str]
    folder: str
    files: list[int]


def serve(listener: socket.socket, raylet: int) -> Request | None:
    """Fork a process for each request.

    Args:
        listener: the socket where the requests come in.
        raylet: the id of the raylet's process.

    Returns:
        In each new process its request; in the server None, once the raylet has ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes the processes that have ended
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(os.pidfd_open(raylet), selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not listener:
                    return None
                connection, _ = listener.accept()
                with connection, suppress(OSError, ValueError):  # one that has asked and is gone
                    request = _receive(connection)
                    if os.fork() == 0:
                        listener.close()
                        return request
                    for file in request.files:  # before the answer, which may fail
                        os.close(file)
                    connection.sendall(b"1")


def _receive(connection: socket.socket) -> Request:
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as rest:
        length = int.from_bytes(head, "big")
        text = rest.read(length)
    arguments, variables, folder = json.loads(text)
    return Request(arguments, variables, folder, files)


def become(request: Request) -> None:
    """Run what was asked for in this process, a copy of the server, as if it had just been started."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request.variables)
    os.chdir(request.folder)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # Python's own are seeded anew by the fork
    sys.argv = request.arguments
    sys.path[0] = os.path.dirname(request.arguments[0])
    runpy.run_path(request.arguments[0], run_name="__main__")


def _import() -> None:
    """Import what worker processes need: Tune, nbtune, and the packages that the notebook has imported."""
    from nbtune.engine.protocol.environment import EXTRA_PACKAGES_VARIABLE, PRELOAD

    gpus = os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/kfd")
    if gpus:
        # A package that looks for a GPU while it is imported initializes CUDA, which a copy cannot use any more.
        os.environ.pop(EXTRA_PACKAGES_VARIABLE, None)
    importlib.import_module(PRELOAD)
    if gpus:
        del sys.modules[PRELOAD]  # each copy imports it again, with those packages
    elif "torch" in sys.modules:  # without it, only trials with workers need these
        importlib.import_module("ray.train.torch")
        importlib.import_module("nbtune.engine.train.distributed")


@contextlib.contextmanager
def _random_state_untouched() -> Iterator[None]:
    """Keep Ray's generator of random ids from being seeded here: all copies would draw the same ids.

    Modules that define actor classes draw one for each. It names a class, and may be the same in all copies.
    """
    import ray.actor

    ids = ray.actor.ActorClassID

    class FromSystem:
        @staticmethod
        def from_random() -> object:
            return ids(os.urandom(ids.size()))

    ray.actor.ActorClassID = FromSystem
    try:
        yield
    finally:
        ray.actor.ActorClassID = ids


def _copies_differ() -> bool:
    """Tell whether two copies of this process draw different random ids of Ray's."""
    import ray

    drawn = []
    for _ in range(2):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, ray.WorkerID.from_random().binary())
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as answer:
            drawn.append(answer.read())
    return len(set(drawn)) == 2


def main() -> None:
    """Serve to the end. Arguments: the socket's number, and its path."""
    number, path = sys.argv[1:]
    listener = socket.socket(fileno=int(number))
    folder = sys.path.pop(0)  # this file's: its modules must not hide others
    from nbtune.cluster.forkserver.launcher import OFF, RAYLET

    with _random_state_untouched():
        _import()
    sys.path.insert(0, folder)
    gc.collect()
    gc.freeze()  # or the copies' garbage collectors would write into all of the memory that they share
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    raylet = int(os.environ[RAYLET])
    if not _copies_differ():  # whoever asks starts a process of its own
        open(path + OFF, "w").close()
        return
    request = serve(listener, raylet)
    if request is not None:
        become(request)
        return
    for file in (path, f"{path}.lock"):
        with suppress(OSError):
            os.unlink(file)
    with suppress(OSError):  # another raylet's is there
        os.rmdir(os.path.dirname(path))


if __name__ == "__main__":
    main()
