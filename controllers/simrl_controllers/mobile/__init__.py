"""Mobile manipulation: a whole-body QP for base and arm, and phases that pick, place and open."""
