"""A world of coloured shapes whose truth is known: its pictures, its films, and questions about them."""
