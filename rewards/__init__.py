"""What an answer is worth: components, composites, credit. Never imports torch."""
