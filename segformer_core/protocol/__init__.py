"""The words that core and backends speak to each other: verbs, plans, keep masks, parameter groups, the form of a file."""
