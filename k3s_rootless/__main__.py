"""Entry point of the program `k3s-rootless` and of `python -m k3s_rootless`.

Annotations need no `__future__` here: its import would be the first one, with the path of `-m`.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` puts the working directory first, and modules in it are not ours. What Python has
    # loaded before this line can only be prevented with `python -P`.
    import os

    try:
        if sys.path[0] == os.getcwd():  # noqa: PTH109 (pathlib is not loaded yet)
            del sys.path[0]
    except OSError:
        pass  # a working directory that was removed is not in the path

import atexit
import gc

# Loading modules creates many objects and frees few. Garbage collection meanwhile took 5 % of the
# time of `ports`.
gc.set_threshold(50_000)
# The kernel frees all memory at exit. Python does not collect frozen objects before that.
atexit.register(gc.freeze)

from k3s_rootless.cli import output, shell  # noqa: E402 (the threshold must precede this import)


def main() -> None:
    """Run the command line."""
    output.secure()
    try:
        shell(prog_name="k3s-rootless")
    except KeyboardInterrupt:
        # A second interrupt arrived while the first one was handled.
        output.end(output.INTERRUPTED)
    except SystemExit as end:
        output.end(end.code)
        raise


if __name__ == "__main__":
    main()
