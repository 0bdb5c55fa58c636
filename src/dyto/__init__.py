"""Training-free video understanding on stock Hugging Face transformers."""
