"""How does a command end? With an exit code, and a failure with one line on stderr; only a bug has a traceback."""

import errno
import resource
import sys
from collections.abc import Callable
from contextlib import suppress

import typer

from runners.storage.errors import StorageError, shortage
from search_space.errors import UserError

from .streams import StdoutError

STDOUT_CLOSED = 141
"""What a shell reports of a program whose reader has gone, as in `resfront references | head`: 128 and SIGPIPE."""
LONGEST = 2_000
"""Characters of an error message."""
INTERRUPTED = 130
"""Exit code after Ctrl-C; what was interrupted can be resumed."""
FEWEST_FILES, ENOUGH_FILES = 32, 4096
"""Open files that a command needs, and as many as it asks for: Python cannot even import modules without any left."""


def ending_of(command: Callable[[], None]) -> int:
    """Run a command and return its exit code, after saying in one line what went wrong; a bug is raised."""
    try:
        _get_files()
        command()
        print(end="", flush=True)  # else Python flushes stdout, and has an exit code of its own
        return 0
    except typer.Exit as ending:
        return ending.exit_code
    except StdoutError as error:
        return STDOUT_CLOSED if error.errno == errno.EPIPE else _complain(f"stdout: {shortage(error)}", 4)
    except UserError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(error.format_message() if hasattr(error, "format_message") else str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except Exception as error:
        problem = shortage(error)
        if problem is None:
            raise
        return _complain(problem, StorageError.exit_code)


def _get_files() -> None:
    """Raise the limit of open files to what a study with many workers needs, as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(ENOUGH_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems have a limit beyond the one that they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
        raise StorageError(f"only {soft} files may be open at a time; raise the limit to {FEWEST_FILES} (ulimit -n)")


def _complain(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"error: {line if len(line) <= LONGEST else line[:LONGEST] + ' ...'}", file=sys.stderr)
    return code
