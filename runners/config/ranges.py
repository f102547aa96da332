"""Bounds of numbers in a configuration."""

from typing import Annotated

from pydantic import Field

MOST_EPOCHS, MOST_THREADS = 10_000, 1024
MOST_IMAGES, MOST_TRIALS, MOST_SECONDS = 10**9, 10**6, 10**9

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
