"""Compare controllers."""
