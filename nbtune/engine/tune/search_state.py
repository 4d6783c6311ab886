"""The state of the user's search algorithm in Tune's snapshot, also of one that cannot save itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ray.tune.search import Searcher
from ray.tune.search.search_generator import SearchGenerator

__all__ = ["HasState", "changed_files", "restore_search", "save_search", "versions"]

Whole = tuple[Any, dict[str, Any]]
"""An algorithm, and the state of Tune's wrapper of it."""


class HasState(Protocol):
    """A part of a run whose state is stored with that of the search algorithm."""

    def dump_state(self) -> bytes | None:
        """Return the state, or None."""

    def load_state(self, state: bytes) -> None:
        """Restore the state of an earlier run.

        Args:
            state: what `dump_state` has returned.
        """


def save_search(search: Any, dirpath: str, session_str: str) -> Whole | None:
    """Let a search algorithm save its state by its own method.

    Many pickle their state, which fails for functions and classes of the notebook: they cannot be imported in the
    driver's process. Others have no method for it. Such an algorithm has to be pickled as a whole, by cloudpickle.

    Args:
        search: Tune's search algorithm.
        dirpath: the folder for its files.
        session_str: distinguishes the files of this run.

    Returns:
        What to pickle and to give to `restore_search`; None if the algorithm has saved itself.
    """
    if not isinstance(search, SearchGenerator):  # not made of a `Searcher`, which is the only kind that can be replaced
        search.save_to_dir(dirpath, session_str=session_str)
        return None
    searcher: Any = search.searcher
    while hasattr(searcher, "searcher"):
        searcher = searcher.searcher
    if type(searcher).save is not Searcher.save:
        try:
            search.save_to_dir(dirpath, session_str=session_str)
        except Exception:  # the pickle below fails as well if there is another reason
            return search.searcher, search.get_state()
        return None
    return search.searcher, search.get_state()


def restore_search(search: Any, dirpath: str, whole: Whole | None) -> None:
    """Restore the state of a search algorithm.

    Args:
        search: Tune's search algorithm.
        dirpath: the folder with its files.
        whole: what `save_search` has returned.
    """
    if whole is not None:
        search.searcher, state = whole
        search.set_state(state)
    elif search.has_checkpoint(dirpath):
        search.restore_from_dir(dirpath)


def versions(dirpath: str) -> dict[str, int]:
    """Return the files of a snapshot of Tune's by name, also those that a search algorithm names as it likes.

    Args:
        dirpath: the folder with the files.

    Returns:
        Name -> a number that changes when the file is written again.
    """
    files = [path for path in sorted(Path(dirpath).glob("*.*")) if path.suffix in {".json", ".pkl"}]
    return {path.name: path.stat().st_mtime_ns for path in files}


def changed_files(dirpath: str, earlier: Mapping[str, int]) -> list[Path]:
    """Return the files of a snapshot of Tune's that were written since a moment.

    Args:
        dirpath: the folder with the files.
        earlier: what `versions` has returned at that moment.
    """
    return [Path(dirpath, name) for name, version in versions(dirpath).items() if earlier.get(name) != version]
