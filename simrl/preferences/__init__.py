"""Learn what people want: segments, questions, answers, and rewards learned from them.

Play is cut into segments (`segment`), which wait in a pool (`pool`); answers about pairs of them
(`dataset`) teach a reward model (`reward_model`, `reward_training`), whose worth is measured
(`scores`, `calibration`, `distance`).
"""
