"""Conversations about one video."""
