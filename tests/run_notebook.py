"""Runs notebooks headless with nbclient, and prints their last outputs.

    python -m tests.run_notebook notebooks/01_quickstart.ipynb [--keep]
    python -m tests.run_notebook --environment extras [--keep]

With --keep an executed notebook is written back to the file with its outputs.
A cell with the tag "kills-kernel" kills the kernel; the cells after it run in a new kernel.

A tutorial that needs packages which only the environment of `make test-extras` has says so in its metadata:
``"nbtune": {"environment": "extras"}``. All others run in the environment of `make test`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import nbclient
import nbformat

FOLDER = Path(__file__).parents[1] / "notebooks"
ENVIRONMENTS = ("default", "extras")
SHUTDOWN_RAY = "import sys\nif 'ray' in sys.modules:\n    sys.modules['ray'].shutdown()"
KILLS_KERNEL = "kills-kernel"
PATHS = re.compile(r"(/[\w.\-]+)*/ray_results")


def environment(notebook: nbformat.NotebookNode) -> str:
    """Return which of `ENVIRONMENTS` has the packages of a notebook.

    Args:
        notebook: the notebook.
    """
    return str(notebook.metadata.get("nbtune", {}).get("environment", ENVIRONMENTS[0]))


def tutorials(name: str) -> list[Path]:
    """Return the files of the tutorials that run in an environment.

    Args:
        name: one of `ENVIRONMENTS`.
    """
    return [path for path in sorted(FOLDER.glob("*.ipynb")) if environment(nbformat.read(path, as_version=4)) == name]


def run(path: Path, timeout: float = 600) -> nbformat.NotebookNode:
    """Run a notebook in its own folder and return it with its outputs.

    Args:
        path: the notebook.
        timeout: the time limit of each cell, in seconds.
    """
    notebook = nbformat.read(path, as_version=4)
    done = 0
    while done < len(notebook.cells):
        done = _run_in_one_kernel(notebook, done, path.parent, timeout)
    return notebook


def _run_in_one_kernel(notebook: nbformat.NotebookNode, first: int, folder: Path, timeout: float) -> int:
    """Run cells from number `first` until the end or until one kills the kernel; return the number of the next cell."""
    client = nbclient.NotebookClient(notebook, timeout=int(timeout), resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells[first:], first):
            kills = KILLS_KERNEL in cell.metadata.get("tags", [])
            try:
                client.execute_cell(cell, index)
            except nbclient.exceptions.DeadKernelError:
                if not kills:
                    raise
                return index + 1
            assert not kills, f"cell {index} should have killed the kernel"
        # A kernel with an embedded Ray ignores a shutdown request and would be killed after a timeout.
        notebook.cells.append(nbformat.v4.new_code_cell(SHUTDOWN_RAY))
        client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1, store_history=False)
        notebook.cells.pop()
    return len(notebook.cells)


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove from a notebook what differs between runs and machines, and return it.

    Args:
        notebook: the executed notebook; it is changed in place.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            for texts in (output, output.get("data", {})):
                for key in ("text", "text/plain", "text/html"):
                    if isinstance(texts.get(key), str):
                        texts[key] = PATHS.sub("~/ray_results", texts[key])
    return notebook


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """Return the outputs of a code cell as text, without errors.

    Args:
        cell: the executed cell.
    """
    return [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", [])
        if output.output_type != "error"
    ]


def show(path: Path, *, keep: bool) -> None:
    """Run a notebook and print its last outputs.

    Args:
        path: the notebook.
        keep: whether to write the outputs back into the file.
    """
    started = time.monotonic()
    try:
        notebook = run(path)
    except nbclient.exceptions.CellExecutionError as error:
        sys.exit(f"{path} failed:\n{error}")
    if keep:
        nbformat.write(cleaned(notebook), path)
    outputs = [text for cell in notebook.cells if cell.cell_type == "code" for text in texts(cell) if text.strip()]
    print(f"{path} ran in {time.monotonic() - started:.0f} s; its last outputs are\n")
    print("\n".join(outputs[-3:]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.run_notebook", description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, nargs="*")
    parser.add_argument("--environment", choices=ENVIRONMENTS, help="run all tutorials of this environment")
    parser.add_argument("--keep", action="store_true", help="write the outputs back into the files")
    arguments = parser.parse_args()
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    paths = arguments.notebooks + (tutorials(arguments.environment) if arguments.environment else [])
    if not paths:
        parser.error("no notebooks: name some, or an environment")
    for path in paths:
        show(path, keep=arguments.keep)


if __name__ == "__main__":
    main()
