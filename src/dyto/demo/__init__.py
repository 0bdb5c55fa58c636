"""The web demo: upload a video, ask, and see what the answer was read from. Needs the extra `demo`."""
