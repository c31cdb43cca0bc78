"""The environments that ship with simrl: one folder for each family."""
