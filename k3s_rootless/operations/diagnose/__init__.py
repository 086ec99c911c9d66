"""Why a start failed: its journal, and what the host shows of it."""
