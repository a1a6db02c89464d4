"""How far a command has come with a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a path of this name stands for: the standard input or output.
STDIO = Path("-")


class Progress:
    """Shows a progress bar on a terminal's stderr for a file of known size; else nothing. Gives what moves it on.

    `what` says what is being done; the bar counts bytes.
    """

    def __init__(self, what: str, source: Path) -> None:
        self._bar: Any = None
        if source != STDIO and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True))
            self._task = self._bar.add_task(what, total=source.stat().st_size)

    def __enter__(self) -> Callable[[int], None]:
        if self._bar is None:
            return lambda _bytes: None
        self._bar.start()
        return lambda size: self._bar.advance(self._task, size)

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
