"""The fault matrix: what goes wrong around a study, what has to happen then, and what was seen."""
