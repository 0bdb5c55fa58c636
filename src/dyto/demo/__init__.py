"""The web demo: upload a video, ask about it, and see what the answer rests on. It needs the extra `demo`."""
