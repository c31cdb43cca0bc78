"""The page's addresses, by theme."""
