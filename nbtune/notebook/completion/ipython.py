"""The matcher of IPython's completer. IPython is not imported: it asks for attributes, not for classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from nbtune.notebook.completion.candidates import Candidate
from nbtune.notebook.completion.matcher import complete

__all__ = ["IDENTIFIER", "add_matcher"]

IDENTIFIER = "nbtune"
"""By this name a user can disable it: ``c.IPCompleter.disable_matchers = ["nbtune"]``."""

_PRIORITY = 100.0  # above IPython's own, which then do not run on a magic line


class _Nothing(Sequence[Candidate]):
    """No candidates that yet suppress those of other matchers, which IPython decides by the length.

    Otherwise ``--samples <tab>`` would offer all names of Python, which mean nothing there.
    """

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        raise IndexError(index)


class _Matcher:
    """A matcher of version 2 of IPython's API.

    Args:
        shell: the IPython shell.
    """

    matcher_api_version = 2
    matcher_identifier = IDENTIFIER
    matcher_priority = _PRIORITY

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.__qualname__ = IDENTIFIER  # as functions have one

    def __call__(self, context: Any) -> dict[str, Any]:
        """Return the completions at the cursor; IPython calls this.

        Args:
            context: IPython's `CompletionContext`.
        """
        try:
            answer = complete(
                context.full_text, context.cursor_line, context.cursor_position, dict(self._shell.user_ns)
            )
        except Exception:  # a mistake of ours must not end with a traceback over the user's cell
            answer = None
        if answer is None:
            return {"completions": [], "suppress": False}
        found = answer.completions
        return {
            "completions": list(found.candidates) or (_Nothing() if answer.alone else []),
            "matched_fragment": found.fragment,
            "suppress": answer.alone,
            "ordered": True,
        }


def add_matcher(shell: Any) -> None:
    """Add nbtune's completions to an IPython shell, in place of those that were added before.

    Args:
        shell: an `IPython.core.interactiveshell.InteractiveShell`.
    """
    matchers = shell.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", None) != IDENTIFIER]
    matchers.append(_Matcher(shell))
