"""The rules of the game as kernels over game records; they know nothing of torch or rewards."""
