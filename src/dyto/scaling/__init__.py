"""Many videos: one driver that assigns jobs, and workers in this process, in others, or on a Ray cluster."""
