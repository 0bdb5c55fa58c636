"""Models behind an OpenAI-compatible endpoint: key frames are sent as pictures, and the answer comes back as text."""
