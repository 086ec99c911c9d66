"""Entry point of the program `k3s-rootless` and of `python -m k3s_rootless`."""

from __future__ import annotations

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
