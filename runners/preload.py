"""What the server that workers are forked from loads, once for all of them; nothing else imports it."""

from .engines.processes.worker_start import become_server

become_server()

import torch._dynamo  # noqa: E402, F401 (the first optimizer would load it)

from . import evaluate  # noqa: E402, F401
from .recipes import pipeline  # noqa: E402, F401
