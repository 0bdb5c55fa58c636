"""Questions about what the bundled eye sees, answered with the nouns it knows and by WordNet's kinds."""
