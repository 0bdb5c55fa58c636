"""A world of coloured shapes with known truth: pictures, films, and questions about them."""
