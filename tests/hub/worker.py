"""Runs release commands, one a line of standard input, in one process: libraries are imported once."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import traceback

from model_card.release.__main__ import main


def work() -> None:
    """Answer each line, the arguments as JSON, with exit status and output as JSON."""
    time.sleep = lambda seconds: None  # the Hub client waits between its tries, up to half a minute in all
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(json.loads(line))
            except Exception:
                status = -1
                traceback.print_exc()
        print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)


if __name__ == "__main__":
    work()
