"""Answers to questions about what the bundled eye sees, with its nouns and WordNet's kinds."""
