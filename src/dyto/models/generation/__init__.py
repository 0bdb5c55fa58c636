"""From a prompt and visual tokens to an answer, the same for all families."""
