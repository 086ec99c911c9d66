"""Timeouts of tests, for machines of any speed.

Tests do not assert that something is fast, only that it does not hang. A simulated hang lasts
`HANGS` seconds, and what must not wait for it ends within `PATIENCE`. `HANGS` is below the limit of
one test (`timeout` in pyproject.toml), so that an assertion fails rather than the runner. Code that
is not linear in the length of its input takes hours for the inputs of these tests, so this limit
finds it too.
"""

from __future__ import annotations

PATIENCE = 90.0
HANGS = 240.0
