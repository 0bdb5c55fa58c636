"""Many videos: one driver that hands out jobs, and workers in this process, in others, or on a Ray cluster."""
