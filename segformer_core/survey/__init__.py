"""What a dataset holds, and what of it would be trained wrongly."""
