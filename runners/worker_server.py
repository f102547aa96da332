"""What the server that workers are forked from loads, once for all of them; nothing else imports it."""

from .worker import become_server

become_server()

import torch._dynamo  # noqa: E402, F401 (the first optimizer would load it)

from . import evaluate, pipeline  # noqa: E402, F401
