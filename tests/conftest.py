"""What holds for every test: small networks on one thread, so that test processes do not fight over the cores."""

import torch

torch.set_num_threads(1)
