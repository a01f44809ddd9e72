"""The mathematics: levels, schedules, predictions, plans, solvers, the one sampling loop."""
