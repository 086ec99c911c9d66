"""`python -m k3s_rootless`, and the entry point `k3s-rootless`."""

from __future__ import annotations

from k3s_rootless.cli import shell


def main() -> None:
    """Run the command line."""
    shell(prog_name="k3s-rootless")


if __name__ == "__main__":
    main()
