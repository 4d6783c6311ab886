"""The checkpoint that a trial is saving when population based training replaces it by a copy of another trial."""

from __future__ import annotations

from typing import Any

from nbtune.engine._ray.schedulers import save_before_pause

__all__ = ["KeepingController"]


class KeepingController:
    """Tune's controller as a scheduler sees it while it gets a result. No checkpoint is lost that a trial is saving.

    Population based training pauses the trial that is to start from another trial's checkpoint. With that, Tune forgets
    the checkpoint that came with the trial's last report: it is in storage, and nobody lists it.

    Args:
        controller: the controller.
        trial: the trial whose result it is.
        has_checkpoint: whether that result brings a checkpoint.
        saved: receives the trials with the checkpoints that were kept.
    """

    def __init__(self, controller: Any, trial: Any, has_checkpoint: bool, saved: list[tuple[Any, Any]]) -> None:
        self._controller, self._trial, self._has_checkpoint, self._saved = controller, trial, has_checkpoint, saved

    def pause_trial(self, trial: Any, should_checkpoint: bool = True) -> None:
        """Pause a trial.

        Args:
            trial: the trial.
            should_checkpoint: whether it is saved before.
        """
        if not should_checkpoint:
            brings_one = trial is self._trial and self._has_checkpoint
            if (checkpoint := save_before_pause(self._controller, trial, brings_one=brings_one)) is not None:
                self._saved.append((trial, checkpoint))
        self._controller.pause_trial(trial, should_checkpoint=should_checkpoint)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)
