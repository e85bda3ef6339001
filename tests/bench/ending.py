"""How a run ends when it is told to, or when something happens that nobody thought of."""

import signal
import sys
import traceback
from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """In order, with status 128 and the signal's number: programs are stopped, the temporary folder is removed."""
    for number in _SIGNALS:
        # nohup has it ignored, and so it stays.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


def guarded(main: Callable[[], int]) -> int:
    """The exit status of `main`; 3 when it raises."""
    try:
        return main()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except Exception as error:
        traceback.print_exc()
        print(f"error: unexpected: {type(error).__name__}: {error}", file=sys.stderr)
        return 3


def _end(received: int, _frame: object) -> None:
    # A shell sends SIGHUP beside the terminal's: the second one must not disturb the end.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + received)
