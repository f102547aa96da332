"""`resfront sensitivity` and `fidelity`: what few bits cost stage by stage, and how far a proxy can be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError
from search_space.texts.counting import count_of

from ...launch.torch_device import check_device
from ...texts.strict_json import strict_json
from ..options import DEFAULT_RUNS, JSON, MOST_EPOCHS, NAME, RUNS, print_json, print_table
from ..training_options import DATA, DATA_DIR, data_config

if TYPE_CHECKING:
    from runners.quantization.sensitivity import Mix, Sensitivity

    from ...analysis.fidelity import Fidelity


def sensitivity(
    network: Annotated[
        Path, typer.Argument(metavar="DIR", help="A trained network: a directory of `train` or `export`.")
    ],
    data: DATA = None,
    data_dir: DATA_DIR = None,
    max_packed_bytes: Annotated[
        str | None,
        typer.Option(
            "--max-packed-bytes",
            metavar="N",
            help="Propose the bits for this packed size: weights and scales at their own bits.",
        ),
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", help="Validation images; 0 takes all.")] = 0,
    as_json: JSON = False,
) -> None:
    """Quantize one stage at a time, without training, and propose bits for a size budget.

    The baseline is the network as it is. A stage gets fewer bits than it has, and the others stay as they are.
    """
    import torch

    from objectives.limits import parse_limit
    from runners.config import TrainingConfig
    from runners.datasets import load_dataset
    from runners.network_weights import load_network
    from runners.quantization.sensitivity import measure_sensitivity, propose_mix
    from runners.training.load_images import load_images

    from ...final.sources import check_classes, check_images, directory_source
    from ...study.spec_file import check_weights

    source = directory_source(network)
    if source.weights is None:
        raise UserError(f"{network}: has no weights; give a directory that `train` or `export` wrote")
    budget = (
        None
        if max_packed_bytes is None
        else parse_limit("max", f"packed_bytes={max_packed_bytes}", option="--max-packed-bytes").value
    )
    config = data_config(data, data_dir)
    dataset = load_dataset(config.name, config.path)
    check_images(source.name, source.architecture, dataset)
    check_classes(source, dataset)
    check_weights(source.name, source.architecture, source.weights)
    training, validation = load_images(
        config,
        TrainingConfig(images=2048, validation_images=images),
        source.architecture.resolution,
        torch.device("cpu"),
    )
    found = measure_sensitivity(
        load_network(source.architecture, source.weights),
        source.architecture,
        training,
        validation,
        progress=lambda row: typer.echo(f"stage {row.stage}, {row.bits} bits: {100 * row.accuracy:.2f} %", err=True),
    )
    mix = None if budget is None else propose_mix(source.architecture, found, budget)
    if as_json:
        print_json(_sensitivity_json(found, mix))
    else:
        _print_sensitivity(network, config.name, data_dir, found, mix)


def _sensitivity_json(found: "Sensitivity", mix: "Mix | None") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "mix": None if mix is None else asdict(mix)}


def _print_sensitivity(
    network: Path, data: str, data_dir: Path | None, found: "Sensitivity", mix: "Mix | None"
) -> None:
    widths = sorted({row.bits for row in found.rows}, reverse=True)
    accuracy = {(row.stage, row.bits): f"{100 * row.accuracy:.2f} %" for row in found.rows}
    rows = [
        [f"stage {stage}", *(accuracy.get((stage, bits), "-") for bits in widths)]
        for stage in range(1, found.stages + 1)
    ]
    if rows and widths:
        print_table(["alone at", *(f"{bits} bits" for bits in widths), ""], [[*row, ""] for row in rows])
        typer.echo()
    typer.echo(_baseline(found))
    if mix is not None and mix.bits == found.own_bits:
        typer.echo(f"proposed: its own bits, {mix.packed_bytes:,} bytes packed, which are within the size")
    elif mix is not None:
        bits = ",".join(map(str, mix.bits))
        folder = "" if data_dir is None else f" --data-dir {data_dir}"
        typer.echo(
            f"proposed: {bits} bits, {mix.packed_bytes:,} bytes packed (without any file around them), "
            f"expected loss before training {100 * mix.expected_loss:.2f} points\n"
            f"next: resfront compress {network} --data {data}{folder} --bits {bits} --qat-epochs 5 "
            f"-o {network.name}-mixed"
        )


def _baseline(found: "Sensitivity") -> str:
    """The accuracy that each row starts from, and what the rows are."""
    accuracy = f"{100 * found.accuracy:.2f} %"
    if set(found.own_bits) == {32}:
        return f"baseline: in float {accuracy}; nothing was trained, so below 8 bits training regains most"
    own = f"{found.own_bits[0]} bits" if len(set(found.own_bits)) == 1 else f"bits {','.join(map(str, found.own_bits))}"
    start = f"baseline: {accuracy} at the network's own {own}"
    if not found.rows:
        return f"{start}, the fewest that a stage can have"
    return (
        f"{start}, from whose weights a stage is quantized further while the others stay as they are; "
        "nothing was trained, so training at the new bits regains most"
    )


def fidelity(
    name: NAME,
    top: Annotated[int, typer.Option(metavar="K", min=2, help="Networks of the front, and as many others.")] = 5,
    epochs: Annotated[int, typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Of the longer training.")] = 30,
    images: Annotated[int, typer.Option(metavar="N", min=0, help="Training images; 0 takes all.")] = 0,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Networks that train side by side.")] = 1,
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of each.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    data_dir: DATA_DIR = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Train some of a study's networks for longer: how well did the proxy rank them? What is trained once is kept."""
    from runners.storage.study_files import check_writable, write_atomically

    from ...analysis.fidelity import measure_fidelity, shortness
    from ...figures.trainings.fidelity_figure import draw_fidelity
    from ...results.reading import load_results
    from ...study.record import open_study_record, study_directory
    from ...study.sameness import check_study, load_study_images

    check_device(device)
    directory = study_directory(name, runs)
    results = load_results(directory)
    record = open_study_record(directory)
    check_study(record)
    if record.metrics:
        raise UserError(f"{name}: is trained by {record.config.training.evaluator}; fidelity is of classifiers")
    check_writable(directory / "fidelity.html")
    record, _ = load_study_images(record, data_dir)
    if note := shortness(results, epochs, images):
        typer.echo(f"note: {note}", err=True)
    found = measure_fidelity(
        results,
        record,
        top=top,
        epochs=epochs,
        images=images,
        workers=workers,
        threads=threads,
        device=device,
        progress=lambda done, network: typer.echo(
            f"[{done}] trial {network.trial}: proxy {100 * network.proxy_accuracy:.2f} %, "
            f"{count_of(epochs, 'epoch')} {100 * network.full_accuracy:.2f} %, {network.full_s:.0f} s",
            err=True,
        ),
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _print_fidelity(found)
    plot = directory / "fidelity.html"  # last: what was found is shown, even where it cannot be written
    write_atomically(directory / "fidelity.json", f"{strict_json(found.to_dict())}\n".encode())
    write_atomically(plot, draw_fidelity(found).to_html(include_plotlyjs=True).encode())
    if not as_json:
        typer.echo(f"plot: {plot}")


def _print_fidelity(found: "Fidelity") -> None:
    rows = [
        [
            str(network.trial),
            "front" if network.front else "",
            f"{100 * network.proxy_accuracy:.2f} %",
            f"{100 * network.full_accuracy:.2f} %",
            f"{network.proxy_s:.0f} s",
            f"{network.full_s:.0f} s",
            network.network,
        ]
        for network in sorted(found.networks, key=lambda network: -network.full_accuracy)
    ]
    print_table(["trial", "", "proxy", count_of(found.epochs, "epoch"), "proxy took", "long took", "network"], rows)
    is_enough = found.tau_front == found.tau_front
    on_front = f"{found.tau_front:.2f} on the front" if is_enough else "too few on the front for one of their own"
    typer.echo(
        f"\nKendall's tau {found.tau:.2f} over {count_of(len(found.networks), 'network')}, {on_front}; "
        f"choosing by proxy costs {100 * found.regret:.2f} points\n"
        f"a proxy training took {found.proxy_s:.0f} s on average, a long one {found.full_s:.0f} s"
    )
