"""The samplers that come with the project, a file for each origin."""
