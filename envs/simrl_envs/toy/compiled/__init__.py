"""Toys' rules as compiled functions, imported by whoever asks for them."""
