"""How long tests wait, on a machine of any speed: no test asserts that something is fast, only that
it does not hang.

What hangs in a test hangs for `HANGS` seconds, and what must not wait for it ends within
`PATIENCE`. `HANGS` is below the limit of one test (`timeout` in pyproject.toml), so that an
assertion fails, and not the runner. What is not linear in the length of its input takes hours for
the inputs of these tests, and so is found as well.
"""

from __future__ import annotations

PATIENCE = 90.0
HANGS = 240.0
