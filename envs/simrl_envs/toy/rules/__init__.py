"""The rules of the toys, one small file each."""
