"""The settings of a session: ``%config NbTune.NAME = VALUE``, and IPython's configuration files."""

from __future__ import annotations

from typing import Any

from traitlets import Any as AnyTrait
from traitlets import TraitError, observe
from traitlets.config import Configurable

from nbtune.notebook.idle import Idle
from nbtune.spec.options.defaults import early_start, read_start, session
from nbtune.spec.options.options import OPTIONS

__all__ = ["Settings"]


class Settings(Configurable):
    """One trait per option, which is its default, and `start`.

    Args:
        shell: the IPython shell.
    """

    start = AnyTrait(
        None,
        allow_none=True,
        help=(
            'When Ray starts on this machine: "sweep", with the first experiment (the default), or "load", at once and'
            " in the background, with the imports that an experiment needs."
        ),
    ).tag(config=True)

    def __init__(self, shell: Any, **options: Any) -> None:
        self._idle = Idle(shell)
        super().__init__(shell=shell, **options)  # sets the traits that IPython's configuration files contain
        self._apply_start()

    @observe(*OPTIONS)
    def _set(self, change: Any) -> None:
        try:
            if change.new is not None:
                OPTIONS[change.name].read(change.new)
        except ValueError as error:
            self.set_trait(change.name, change.old)
            raise TraitError(f"NbTune.{change.name}: {error}") from None
        session[change.name] = change.new

    @observe("start")
    def _set_start(self, change: Any) -> None:
        try:
            if change.new is not None:
                read_start(change.new)
        except ValueError as error:
            self.set_trait("start", change.old)
            raise TraitError(f"NbTune.start: {error}") from None
        session["start"] = change.new
        self._apply_start()

    def _apply_start(self) -> None:
        if early_start():
            self._idle.start_ray()
        else:
            self._idle.stop_ray()


for _option in OPTIONS.values():
    _trait = AnyTrait(None, allow_none=True, help=f"Default of {_option.flag}: {_option.help}.").tag(config=True)
    setattr(Settings, _option.name, _trait)
    _trait.class_init(Settings, _option.name)
Settings.setup_class(dict(Settings.__dict__))
