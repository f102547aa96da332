"""The pages of the dashboard, and their parts beside the panel of one trial.

May import `panel`, `dashboard.library`, and the rooms of `studies`.
"""
