"""What is said in a video: subtitle files beside it, tracks inside it, and transcripts."""
