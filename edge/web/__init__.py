"""A page that shows in a browser who speaks."""
