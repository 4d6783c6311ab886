"""The fork server: a process that has imported what workers need, and whose forks are the worker processes.

A program that `nbtune.cluster.forkserver.launcher` starts for the raylet's first worker process. It ends with the
raylet.
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
    """A program to run.

    Attributes:
        arguments: its command line.
        variables: its environment.
        folder: its working directory.
        files: descriptors of its standard input, output and error.
    """

    arguments: list[str]
    variables: dict[str, str]
    folder: str
    files: list[int]


def serve(listener: socket.socket, raylet: int) -> Request | None:
    """Fork a process for each request.

    Args:
        listener: the socket for requests.
        raylet: the raylet's process id.

    Returns:
        In each new process its request; in the server None, after the raylet has ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended processes do not stay as zombies
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(os.pidfd_open(raylet), selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not listener:
                    return None
                connection, _ = listener.accept()
                with connection, suppress(OSError, ValueError):  # the client has ended
                    request = _receive(connection)
                    if os.fork() == 0:
                        listener.close()
                        return request
                    for file in request.files:  # before sending, which may fail
                        os.close(file)
                    connection.sendall(b"1")


def _receive(connection: socket.socket) -> Request:
    header, files, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as stream:
        text = stream.read(int.from_bytes(header, "big"))
    arguments, variables, folder = json.loads(text)
    return Request(arguments, variables, folder, files)


def run_request(request: Request) -> None:
    """Run a program in this process, a fork of the server, as if the process had just been started.

    Args:
        request: the program.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request.variables)
    os.chdir(request.folder)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # Python reseeds its own generator after a fork
    sys.argv = request.arguments
    sys.path[0] = os.path.dirname(request.arguments[0])
    runpy.run_path(request.arguments[0], run_name="__main__")


def _import() -> None:
    """Import what worker processes need: Tune, nbtune, and packages that the notebook has imported."""
    from nbtune.engine.protocol.environment import EXTRA_PACKAGES_VARIABLE, PRELOAD, first_use_modules

    gpus = os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/kfd")
    if gpus:
        # A package that looks for GPUs while it is imported initializes CUDA, which does not work in forks.
        os.environ.pop(EXTRA_PACKAGES_VARIABLE, None)
    importlib.import_module(PRELOAD)
    if gpus:
        del sys.modules[PRELOAD]  # each fork imports it again, with those packages
    elif "torch" in sys.modules:  # without PyTorch, only trials with workers need these
        importlib.import_module("ray.train.torch")
        importlib.import_module("nbtune.engine.train.distributed")
    for module in first_use_modules(tuple(sys.modules)):
        with contextlib.suppress(Exception):  # the trial reports it
            importlib.import_module(module)


@contextlib.contextmanager
def _without_random_ids() -> Iterator[None]:
    """Keep Ray's generator of random ids from being seeded inside: all forks would draw the same ids.

    Modules that define actor classes draw an id for each. It is the id of a class, and may be the same in all forks.
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


def _forks_draw_different_ids() -> bool:
    """Tell whether two forks of this process draw different random ids from Ray."""
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
    """Serve until the raylet ends. Arguments: the socket's descriptor, and its path."""
    number, path = sys.argv[1:]
    listener = socket.socket(fileno=int(number))
    folder = sys.path.pop(0)  # that of this file, whose modules must not hide others
    from nbtune.cluster.forkserver.launcher import DISABLED_SUFFIX, RAYLET_PID

    gc.disable()
    with _without_random_ids():
        _import()
    gc.enable()
    sys.path.insert(0, folder)
    gc.collect()
    gc.freeze()  # otherwise the forks' garbage collectors would write to the shared memory, which copies it
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    raylet = int(os.environ[RAYLET_PID])
    if not _forks_draw_different_ids():  # launchers start ordinary processes then
        open(path + DISABLED_SUFFIX, "w").close()
        return
    request = serve(listener, raylet)
    if request is not None:
        run_request(request)
        return
    for file in (path, f"{path}.lock"):
        with suppress(OSError):
            os.unlink(file)
    with suppress(OSError):  # it contains the socket of another raylet
        os.rmdir(os.path.dirname(path))


if __name__ == "__main__":
    main()
