"""Report pages that are one file each and need no network: what they share."""
