"""Search: the moments of any number of memories that show what a text asks for.

1. `files`: which files are meant, without torch. `wording`: what the bundled eye understands of a query.
2. `outlines`: what a search needs of a memory's file, which is little of it.
3. `eyes`: an eye that reads texts turns the vectors of a memory into rows, and a query into columns.
4. `index`: all rows, loaded once. A query is one product of matrices; neighbours that match join to a moment (`hits`).
5. `reranking`: how likely a language model finds it that a moment shows what was asked for. `search`: all in one call.
"""
