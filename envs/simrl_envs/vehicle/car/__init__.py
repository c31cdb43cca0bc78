"""A car on a curved road with obstacles: kinematic or dynamic, seen as numbers or by a camera."""
