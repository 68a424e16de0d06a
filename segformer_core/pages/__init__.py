"""Report pages that are one file each and need no network: what they share."""

COLOURS = "colours.css"
"""The colours of every page, a WEB folder's too, on a light and on a dark screen."""
