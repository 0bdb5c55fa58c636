"""A world of coloured shapes whose truth is known, and the recipe that trains the tiny model on its images."""
