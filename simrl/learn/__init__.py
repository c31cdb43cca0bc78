"""Learning from rollouts: returns, losses, PPO, checkpoints and the training loop."""
