"""Names of the kinds of films, for those who only name them."""

REGIMES = ("mixed", "dominated", "many", "needles", "moving", "static", "detail")
"""The films of 20 seconds, see `dyto.synthetic.films`."""

LONG_REGIMES = (
    "plain",
    "tails",
    "brief",
    "cutting",
    "returning",
    "slow",
    "subtitles",
    "poor",
    "flashes",
    "watching",
)
"""The films of any length, see `dyto.synthetic.long_films`."""
