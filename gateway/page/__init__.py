"""The waiting page."""
