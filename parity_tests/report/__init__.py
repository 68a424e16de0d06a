"""The parity report: what the ladder's tests compared, on which machine, as a page, as JSON and as tables for the documents."""
