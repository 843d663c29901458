"""Lines on their way out, written together by a thread of their own so that the event loop never waits for a pipe."""

import atexit
import os
import threading
from typing import IO

FULL_BYTES = 1024 * 1024
# A reader that has stopped must not make us grow without end.
DROP_ABOVE_BYTES = 16 * 1024 * 1024


class LineWriter:
    """Gathers lines and writes them after `flush_s`, when 1 MB is there, or at once when asked.

    A killed process loses what was gathered in the last `flush_s`; lines written with `now=True` are not lost.
    The thread is woken once for many lines: one that waits for the interpreter makes every request slower by a third.
    """

    def __init__(self, stream: IO[bytes], *, flush_s: float = 0.5) -> None:
        self._stream = stream
        self._flush_s = flush_s
        self._lines: list[bytes] = []
        self._bytes = 0
        self._wake = threading.Event()
        self._full = threading.Event()
        self._awake = False
        self._hurried = False
        self._writing = threading.Lock()
        self._pid = 0
        self.dropped = 0
        atexit.register(self.flush)

    def write(self, line: bytes, *, now: bool = False) -> None:
        """Take one line, which ends in a newline. now: it and all before it are out when this returns."""
        if self._bytes > DROP_ABOVE_BYTES:
            self.dropped += 1
            return
        self._lines.append(line)
        self._bytes += len(line)
        if now:
            self.flush()
        elif not self._awake:
            self._awake = True
            self._wake.set()
        elif self._bytes > FULL_BYTES and not self._hurried:
            self._hurried = True
            self._full.set()
        if self._pid != os.getpid():
            self._start()

    def flush(self) -> None:
        """Write what is there."""
        with self._writing:
            lines, self._lines = self._lines, []
            self._bytes = 0
            if not lines:
                return
            try:
                self._stream.write(b"".join(lines))
                self._stream.flush()
            except (OSError, ValueError):  # the reader is gone, or the stream is closed: nobody is left to tell
                self.dropped += len(lines)

    def _start(self) -> None:
        # A forked child inherits this object but not its thread.
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._full.wait(self._flush_s)
            # First the events, then what `write` reads: a line that comes in between is taken by this flush.
            self._full.clear()
            self._wake.clear()
            self._hurried = self._awake = False
            self.flush()
