"""Dealings with the system: atomic files, child processes, and objects in modules and files that a user names."""
