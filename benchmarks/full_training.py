"""How many images a second does full training take, beside the usual loop, on one thread?

Both loops do the same: crops and flips, SGD, a moving average of the weights after each step (torch's AveragedModel in
the usual one), and with a teacher its forward pass. The usual loop is that of proxy_training.py. They take turns.

    python benchmarks/full_training.py --save
"""

import time

import torch
import torch.nn.functional as F
from proxy_training import BATCH, ROUNDS, UsualDataset, alternate, images_of
from record import arguments, report, table
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from objectives import known_costs
from runners.config import TrainingConfig
from runners.training.batches import ImageBatches
from runners.training.distillation import distillation
from runners.training.loop import Trainer, one_cycle, resolve_precision
from runners.training.weight_average import WeightAverage
from search_space import ArchSpec, build_network, reference
from search_space.backends.torch_network import GraphNetwork


class UsualLoop:
    """DataLoader, float32, contiguous; the average over all tensors of the state."""

    def __init__(self, spec: ArchSpec, teacher: GraphNetwork | None) -> None:
        self.network = build_network(spec)
        self.teacher = teacher
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        data = UsualDataset(images_of(spec.resolution), spec.resolution)
        self.loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(data, BATCH, shuffle=True, drop_last=True)

    def run_epoch(self) -> None:
        self.network.train()
        for images, labels in self.loader:
            logits = self.network(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
            if self.teacher is not None:
                with torch.no_grad():
                    theirs = self.teacher(images)
                soft = nn.KLDivLoss(reduction="batchmean")((logits / 4).log_softmax(1), (theirs / 4).softmax(1))
                loss = 0.3 * loss + 0.7 * 16 * soft
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.average.update_parameters(self.network)


def our_trainer(spec: ArchSpec, teacher: GraphNetwork | None, *, compiled: bool = False) -> Trainer:
    config = TrainingConfig(batch_size=BATCH, compile=compiled)
    network = build_network(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    precision = resolve_precision(config, network.graph, torch.device("cpu"))
    loss = None
    if teacher is not None:
        teacher = teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        loss = distillation(teacher, temperature=4, hard_weight=0.3, label_smoothing=0.1, precision=precision)
    batches = ImageBatches(images_of(spec.resolution), batch_size=BATCH, crop=True, flip=True, cutout=0.0, seed=0)
    average = WeightAverage(network, 0.998)
    return Trainer(
        network,
        batches,
        config,
        epochs=ROUNDS + 1,
        peak=0.1,
        schedule=one_cycle,
        precision=precision,
        loss=loss,
        after_step=average.update,
    )


def matrix_product_gflops() -> float:
    """Of two float32 matrices of 1024 x 1024, the best of 20: what convolutions cannot exceed."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - started)
    return 2 * 1024**3 / min(seconds) / 1e9


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for name, teacher_name in (("resnet20", None), ("resnet20", "resnet56"), ("resnet56", None)):
        spec = reference(name)
        assert isinstance(spec, ArchSpec)
        teachers = [None if teacher_name is None else build_network(reference(teacher_name)).eval() for _ in range(2)]
        usual, ours = UsualLoop(spec, teachers[0]), our_trainer(spec, teachers[1])
        loops = {"usual": usual.run_epoch, "ours": ours.run_epoch}
        if teacher_name is None:
            loops["compiled"] = our_trainer(spec, None, compiled=True).run_epoch
        rates = alternate(loops)
        faster = [f"{rates[loop]:.0f} ({rates[loop] / rates['usual']:.2f} x)" for loop in loops if loop != "usual"]
        precision = str(ours.precision).removeprefix("torch.")
        rows.append([name, teacher_name or "", precision, f"{rates['usual']:.0f}", *faster, *[""] * (3 - len(loops))])
    heads = ["network, 32 px", "teacher", "in", "usual loop, images/s", "resfront, images/s", "compiled, images/s"]
    gflops = matrix_product_gflops()
    macs = known_costs(reference("resnet20").build_graph())["macs"]
    text = (
        f"{table(heads, rows)}\n\nA float32 matrix product runs at {gflops:.0f} GFLOP/s on this thread. "
        f"A training step of ResNet-20 is 3 x 2 x {macs / 1e6:.1f} MFLOP an image, "
        f"so that no more than {gflops * 1e9 / (6 * macs):.0f} images/s are possible."
    )
    report("full-training", "python benchmarks/full_training.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
