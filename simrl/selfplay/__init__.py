"""Self-play: a league of frozen opponents, matchmaking, payoffs and ratings."""
