"""Named terms that task files put together; `registry` keeps them."""
