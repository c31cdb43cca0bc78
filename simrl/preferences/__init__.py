"""Learn from people: preferences, ratings, live feedback, corrections, and models of reward."""
