"""`python -m k3s_rootless`, and the entry point `k3s-rootless`."""

from __future__ import annotations

import atexit
import gc

# Loading modules makes much that stays and little that goes: looking for garbage meanwhile took 5 %
# of what `ports` takes.
gc.set_threshold(50_000)
# Nor is any looked for at the end, when the kernel takes it all: what is frozen is passed over.
atexit.register(gc.freeze)

from k3s_rootless.cli import output, shell  # noqa: E402 (the threshold is for what this loads)


def main() -> None:
    """Run the command line."""
    output.secure()
    try:
        shell(prog_name="k3s-rootless")
    except KeyboardInterrupt:
        # A second one, that came while the first was handled.
        output.end(output.INTERRUPTED)
    except SystemExit as end:
        output.end(end.code)
        raise


if __name__ == "__main__":
    main()
