"""Training runs: configs, presets, assembly, evaluation and loading of trained policies."""
