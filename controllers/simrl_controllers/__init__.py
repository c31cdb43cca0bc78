"""The controllers that ship with simrl: each one is a `simrl.core` policy."""
