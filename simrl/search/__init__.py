"""Tree search: batched MCTS over any model and evaluator, and agents that are guided by it."""
