"""A module that the team's code imports."""

OLDEST = 80
