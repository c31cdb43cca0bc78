"""Compiled parts of the legged stack: equations of motion, gait, footholds, swing, tasks."""
