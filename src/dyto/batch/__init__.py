"""Questions about any number of videos, from a table to a table."""
