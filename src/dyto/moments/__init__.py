"""What a film consists of: its segments and key frames, as tables, chapters, pictures and clips."""
