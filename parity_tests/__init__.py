"""Everything that holds the two backends equal, and the core's own tests: `pytest parity_tests`."""
