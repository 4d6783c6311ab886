"""The view of the notebook's folder in a trial's working directory: links, and copies of what the trial changes.

The working directory of a trial is a folder of its own, with a link to each entry of the notebook's folder. It lies in
a mirror of the folders above that of the notebook, so that paths like "../data" lead to the same files, too:

    ROOT/                      a link to each entry of /, except for the next one
    ROOT/home/                 the same of /home
    ROOT/home/project/         the same of /home/project, the notebook's folder being /home/project/notebooks
    ROOT/home/project/TRIAL/   a link to each entry of the notebook's folder

A trial that writes to a linked name would change the notebook's file, and so would all other trials. What the code of
the trial names is therefore a copy (a file) or a folder of links (a folder) from the start; for all else, the links
that the trial writes to are replaced by copies just before, see `nbtune.engine.trial.writes`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["Workspace"]

_MAX_COPY = 16 << 20  # the largest file that is copied because the code names it, in bytes
_MAX_ENTRIES = 1000  # the entries of the largest folder that becomes a folder of links because the code names it
_TEMPORARY = ".nbtune-{}-"  # how a copy is called until it replaces a link; with the id of the process


class Workspace:
    """The working directory of a trial on one machine. Several processes, the workers of a trial, may share it.

    Args:
        folder: the working directory, as `folder_in` returns it.
        notebook: the notebook's folder, which may not exist on this machine.

    Attributes:
        folder: as given, without links.
        notebook: as given.
        root: the folder of the mirror, the same for all trials of an experiment.
    """

    def __init__(self, folder: Path, notebook: Path) -> None:
        self.folder, self.notebook = Path(os.path.realpath(folder)), notebook
        self.root = self.folder.parents[len(notebook.parts[1:-1])]

    @staticmethod
    def folder_in(root: Path, notebook: Path, name: str) -> Path:
        """Return the working directory of a trial in a mirror.

        Args:
            root: the folder of the mirror.
            notebook: the notebook's folder.
            name: the name of the trial's folder.
        """
        return root.joinpath(*notebook.parts[1:-1], name)

    def prepare(self, texts: Iterable[str] = ()) -> None:
        """Create the folder with the notebook's entries; entries that are already there stay.

        Args:
            texts: the code that the trial runs.

        Raises:
            OSError: it cannot be created.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._spare.rename(self.folder)
        except OSError:  # there is none, or the trial has a folder from its last attempt
            self.folder.mkdir(exist_ok=True)
        for level in self.folder.parents:
            if not level.is_relative_to(self.root):
                break
            self._mirror(level)
        self._fill(self.folder, self.notebook, _is_named_in("\n".join(texts)))

    def names(self) -> set[str]:
        """Return the names of the present entries of the notebook's folder."""
        return set(_names(self.notebook))

    def link(self, names: Iterable[str]) -> None:
        """Link entries of the notebook's folder. Names that the trial has itself stay as they are.

        Args:
            names: the names of the entries.

        Raises:
            OSError: a link cannot be created.
        """
        for name in names:
            if not self.root.is_relative_to(self.notebook / name):
                _link(self.notebook / name, self.folder / name)

    def _mirror(self, level: Path) -> None:
        source = Path("/", level.relative_to(self.root))
        known = set(os.listdir(level))
        for name in _names(source):
            if name not in known and not self.root.is_relative_to(source / name):
                _link(source / name, level / name)

    def _fill(self, folder: Path, source: Path, is_named: Callable[[str], bool]) -> None:
        """Create the entries of a folder: copies and folders for what the code names, and links for all else."""
        known, names = set(os.listdir(folder)), list(_names(source))
        for name in known.difference(names):
            self._remove_link(folder / name)
        for name in names:
            of_notebook, own = source / name, folder / name
            if name in known or self.root.is_relative_to(of_notebook):
                continue
            if is_named(name) and self._copied(of_notebook, own, is_named):
                continue
            _link(of_notebook, own)

    def _copied(self, of_notebook: Path, own: Path, is_named: Callable[[str], bool]) -> bool:
        """Create an entry that the code names as a copy, unless it is large or special."""
        try:
            kind = of_notebook.stat()
            if stat.S_ISREG(kind.st_mode) and kind.st_size <= _MAX_COPY:
                self._replace_by_copy(of_notebook, own)
                return True
            if stat.S_ISDIR(kind.st_mode) and len(os.listdir(of_notebook)) <= _MAX_ENTRIES:
                own.mkdir(exist_ok=True)
                self._fill(own, of_notebook, is_named)
                return True
        except OSError:  # no permission, or it is gone: a link shows as much of it
            pass
        return False

    # -- changes --------------------------------------------------------------------------------

    def own_parents(self, path: str) -> None:
        """Replace linked folders on the way to a path by folders of the trial.

        Args:
            path: absolute and normalized.

        Raises:
            OSError: a folder cannot be created.
        """
        inside = Path(path)
        if not inside.is_relative_to(self.folder):
            return
        for parent in [*reversed(inside.relative_to(self.folder).parents)][1:]:
            self.own(str(self.folder / parent))

    def own(self, path: str, *, emptied: bool = False) -> None:
        """Replace a link to an entry of the notebook's folder by a copy, or by a folder with links to its entries.

        Args:
            path: absolute and normalized.
            emptied: whether a file's contents are about to be deleted.

        Raises:
            OSError: the copy cannot be written.
        """
        own = Path(path)
        if (of_notebook := self._linked(own)) is None:
            return
        if of_notebook.is_dir():
            self._replace_by_folder(of_notebook, own)
        elif emptied or not of_notebook.exists():
            own.unlink(missing_ok=True)
        else:
            self._replace_by_copy(of_notebook, own)

    def reach_above(self, path: str) -> None:
        """Let a new file in a folder above the working directory be created where it would be without the mirror.

        Args:
            path: absolute and normalized.
        """
        own = Path(path)
        above = own.is_relative_to(self.root) and not own.is_relative_to(self.folder)
        if above and own.parent.is_dir() and os.path.realpath(own.parent) == str(own.parent):  # itself no link
            _link(Path("/", own.relative_to(self.root)), own)

    def _linked(self, own: Path) -> Path | None:
        """Return the entry of the notebook's folder that a path of the working directory is a link to, or None."""
        if not own.is_relative_to(self.folder) or own == self.folder or not own.is_symlink():
            return None
        of_notebook = self.notebook / own.relative_to(self.folder)
        return of_notebook if os.readlink(own) == str(of_notebook) else None

    def _replace_by_copy(self, of_notebook: Path, own: Path) -> None:
        temporary = own.with_name(_TEMPORARY.format(os.getpid()) + own.name[:200])
        try:
            shutil.copy2(of_notebook, temporary)
            temporary.replace(own)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _replace_by_folder(self, of_notebook: Path, own: Path) -> None:
        temporary = own.with_name(_TEMPORARY.format(os.getpid()) + own.name[:200])
        temporary.mkdir(exist_ok=True)
        self._fill(temporary, of_notebook, lambda name: False)
        own.unlink(missing_ok=True)  # no call replaces a link by a folder
        try:
            temporary.rename(own)
        except OSError:  # another worker was faster
            shutil.rmtree(temporary, ignore_errors=True)

    # -- the end --------------------------------------------------------------------------------

    def written(self) -> dict[str, int]:
        """Return the files that the trial has written: path in its folder -> size in bytes."""
        return {
            str(path.relative_to(self.folder)): kind.st_size
            for path, kind in _files(self.folder)
            if not _is_copy(kind, self.notebook / path.relative_to(self.folder))
        }

    def remove(self, *, keep_written: bool) -> None:
        """Remove the folder.

        Args:
            keep_written: whether files of the trial stay, for its next attempt; links and copies are removed. If not,
                the next trial of this process gets the links, which takes less time than making others.
        """
        if not keep_written:
            for entry in [*os.scandir(self.folder)]:
                if self._linked(Path(entry.path)) is None:
                    _remove(entry)
            self._spare.parent.mkdir(exist_ok=True)
            try:
                self.folder.rename(self._spare)
            except OSError:  # workers have left two
                shutil.rmtree(self.folder, ignore_errors=True)
            return
        written = self.written()
        for folder, folders, files in os.walk(self.folder, topdown=False):
            for name in [*files, *folders]:
                path = Path(folder, name)
                if str(path.relative_to(self.folder)) not in written:
                    with suppress(OSError):  # a folder that is not empty stays
                        path.unlink() if path.is_symlink() or not path.is_dir() else path.rmdir()

    @property
    def _spare(self) -> Path:
        return self.root.parent / "spare" / str(os.getpid())

    def _remove_link(self, own: Path) -> None:
        """Remove a link to what is no longer in the notebook's folder."""
        if self._linked(own) is not None:
            own.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder, without following links."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        os.unlink(entry.path)


def _names(folder: Path) -> Iterator[str]:
    with suppress(OSError):  # it does not exist on this machine, or must not be read
        yield from sorted(os.listdir(folder))


def _link(target: Path, link: Path) -> None:
    with suppress(FileExistsError):  # of another trial or worker, at the same moment
        link.symlink_to(target)


def _is_copy(kind: os.stat_result, of_notebook: Path) -> bool:
    """Tell whether a file is an unchanged copy: of the size and time of the notebook's file."""
    with suppress(OSError):
        other = of_notebook.stat()
        return (kind.st_size, kind.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
    return False


def _is_named_in(text: str) -> Callable[[str], bool]:
    """Return a function that tells whether code has a file's name in a string, alone or as a part of a path."""
    return lambda name: name in text and re.search(rf"""["'/\\]{re.escape(name)}["'/\\]""", text) is not None
