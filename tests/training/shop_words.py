"""A module beside the shop's declarations, so that an archive has something to follow."""

LEFT_OUT = "staff"
