"""Why can a network not be exported?"""

from dataclasses import dataclass

from search_space.errors import UserError


class ExportRefused(UserError):
    """Error of a network that cannot be exported because a check of a file failed; nothing was written."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model file that is not what torch computes."""

    file: str
    reason: str
    answers: str
    """How many images get another answer than torch's, as a clause; empty where that is not known."""

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}" + (f"; {self.answers}" if self.answers else "")


def refused(refusals: list[Refusal], others: int) -> ExportRefused:
    """Return the error for files that were refused, with what to do; `others` is how many models are in order."""
    what = " and ".join(map(str, refusals))
    if not others:
        return ExportRefused(f"{what}; nothing was written, because no model is left without it; try another trial")
    options = " ".join(f"--without {refusal.file}" for refusal in refusals)
    return ExportRefused(f"{what}; nothing was written; the rest can be written without it: {options}")


class NoSuchTrial(UserError):
    """Error of a trial that cannot be exported: there is none, it has no network, or the folder is not empty."""

    exit_code = 3
