"""What a trial and its workers have printed, read back from storage."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nbtune.engine.client.printed import printed
from nbtune.engine.storage.storage import Storage
from nbtune.engine.trial.output import RANK_FOLDER
from nbtune.errors import ExperimentError

__all__ = ["logs"]

_AT_ONCE = 16  # files that are asked for together: an object store takes its time for each


def logs(where: Storage, folder: str, ranks: Sequence[int], tail: int | None = None, rank: int | None = None) -> str:
    """Return what a trial has printed; see `Trial.logs`.

    Args:
        where: the experiment's folder.
        folder: the name of the trial's folder.
        ranks: those of its workers; none if it is not distributed.
        tail: how many of the last lines, of each worker; all of them if None.
        rank: of which worker; of the trial itself and all of them if None.

    Raises:
        ExperimentError: the storage cannot be read, or there is no such worker.
    """
    if rank is not None and rank not in ranks:
        raise ExperimentError(f"rank={rank!r}: {_there_are(ranks)}")
    if rank is not None:
        return printed(where, f"{folder}/{RANK_FOLDER.format(rank)}", tail)
    folders = [folder, *(f"{folder}/{RANK_FOLDER.format(rank)}" for rank in ranks)]
    with ThreadPoolExecutor(min(_AT_ONCE, len(folders))) as pool:
        own, *texts = pool.map(lambda folder: printed(where, folder, tail), folders)
    parts = [own, *(f"--- rank {rank} ---\n{text}" for rank, text in zip(ranks, texts, strict=True) if text)]
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts[:-1] if part) + parts[-1]


def _there_are(ranks: Sequence[int]) -> str:
    if not ranks:
        return "this trial has no workers that are known; leave rank out"
    whole = list(ranks) == list(range(len(ranks)))
    if len(ranks) == 1:
        return f"this trial's only worker has rank {ranks[0]}"
    shown = f"0 to {ranks[-1]}" if whole else ", ".join(map(str, ranks))
    return f"the ranks of this trial are {shown}; leave rank out for all of them"
