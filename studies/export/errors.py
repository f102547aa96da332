"""Why can a network not be exported?"""

from search_space.errors import UserError


class ExportRefused(UserError):
    """A check failed; nothing was written."""

    exit_code = 1


class NoSuchTrial(UserError):
    """The study has no such trial, or it found no network, or the directory is there already."""

    exit_code = 3
