"""`resfront measure` and `resfront calibrate`: how long networks take on a device at hand, measured or predicted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.texts.counting import count_of

from ..options import JSON, parse_path, print_json, print_table
from .show import NetworkOptions

if TYPE_CHECKING:
    from objectives.latency.device import Device
    from objectives.latency.prediction.calibration import Calibration
    from search_space.graph import Graph
    from search_space.spec import Architecture

DEVICE = Annotated[
    str,
    typer.Option(metavar="D", help="cpu, ssh:user@host, a device of `resfront devices`, or a profile's .toml file."),
]
THREADS = Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of the runtime; batch 1.")]


def measure(
    *,
    network: NetworkOptions,
    device: DEVICE = "cpu",
    threads: THREADS = 1,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_path, help="Predict with this calibration, instead of the device's own."
        ),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Measure a network's latency on a device, or the model files of an exported directory."""
    from objectives.latency.device import HOST, SSH

    from ...comparison.device_comparison import check_device

    name, architecture = network.chosen()
    check_device(device)
    if device == HOST or device.startswith(SSH):
        files = _model_files(network)
        rows = _measured(name, architecture, files, device, threads, calibration)
    else:
        rows = [_estimated(name, architecture, device, threads)]
    if as_json:
        print_json(rows)
        return
    heads = ["network", "device", "known as", "latency", "p90", "spread", "predicted"]
    print_table(heads, [_cells(row) for row in rows])
    for note in dict.fromkeys(row["note"] for row in rows if row.get("note")):
        typer.echo(f"\n{note}")


def calibrate(
    source: Annotated[
        str, typer.Argument(metavar="[PRESET|FILE.toml]", help="The study whose space is sampled.")
    ] = "cifar10",
    device: Annotated[str, typer.Option(metavar="D", help="cpu or ssh:user@host.")] = "cpu",
    threads: THREADS = 1,
    nets: Annotated[
        int, typer.Option(metavar="N", min=20, max=10_000, help="Networks, each timed in float32 and in int8.")
    ] = 130,
    timeout: Annotated[float, typer.Option(metavar="S", min=0, help="Time no new network after S seconds.")] = 150.0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", parser=parse_path, help="By default where studies look for it."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Learn to predict a device's latencies from networks that are timed on it; nothing else should run meanwhile."""
    from objectives.latency.open_device import open_device
    from objectives.latency.prediction.calibrate import calibrate as calibrate_device
    from runners.search.pricing.latency_meter import calibration_path
    from runners.storage.study_files import check_writable, write_atomically

    from ...study.config import load_config

    space = load_config(source, []).space
    path = output or calibration_path(device, threads, max(space.resolution))
    check_writable(path)
    with open_device(device, threads) as opened:
        found = calibrate_device(
            space,
            opened,
            nets=nets,
            budget_s=timeout,
            progress=lambda done, planned: typer.echo(f"{done} of {count_of(planned, 'network')} timed", err=True),
        )
    if as_json:
        print_json({"file": str(path), **_calibration_facts(found)})
    else:
        _print_calibration(found)
    write_atomically(path, found.to_json().encode())  # last: what was found is shown, even where it cannot be written
    if not as_json:
        typer.echo(f"\ncalibration: {path}")


def _model_files(network: NetworkOptions) -> list[Path]:
    """The ONNX files of an exported directory, unless the options ask for another network; they must be the spec's."""
    from studies.export.models import check_model

    from ...study.spec_file import read_spec

    if network.spec is None or not network.spec.is_dir() or not network.is_unchanged:
        return []
    files = sorted(network.spec.glob("*.onnx"))
    for file in files:
        check_model(file, read_spec(network.spec))
    return files


def _measured(
    name: str, architecture: "Architecture", files: list[Path], device: str, threads: int, calibration: Path | None
) -> list[dict[str, Any]]:
    """A row for each file, or one for the network as it would be exported."""
    from objectives.latency.measurement import Precision, measure_graphs, measurement_of, precision_of
    from objectives.latency.open_device import open_device

    graph = architecture.build_graph()
    with open_device(device, threads) as opened:
        known, note = _calibration_of(opened, architecture, calibration)
        if files:
            timings = opened.time([file.read_bytes() for file in files], size=architecture.resolution)
            precisions: list[Precision] = ["int8" if "int8" in file.name else "float32" for file in files]
            found = [measurement_of(opened, t, p) for t, p in zip(timings, precisions, strict=True)]
        else:
            found = measure_graphs([graph], opened)
    rows = []
    for label, measurement in zip([file.name for file in files] or [name], found, strict=True):
        row = {"network": label, **measurement.to_dict(), "note": note or _low_bits_note(architecture)}
        if known is not None and "symmetric" not in label:
            timed = graph if measurement.precision == precision_of(graph) else _in_float(architecture)
            row |= {"predicted_ms": known.predict_ms(timed), "prediction_error": known.error_of(timed).mean}
        rows.append(row)
    return rows


def _in_float(architecture: "Architecture") -> "Graph":
    """What the float32 file of a quantized network runs; only points of the space are predicted."""
    from search_space.spec import ArchSpec

    assert isinstance(architecture, ArchSpec)
    return architecture.with_bits(32).build_graph()


def _calibration_of(
    device: "Device", architecture: "Architecture", path: Path | None
) -> "tuple[Calibration | None, str]":
    """The calibration to predict with, and why there is none; one that was asked for must fit, or CalibrationError."""
    from objectives.latency.prediction.calibration import CalibrationError, read_calibration
    from runners.search.pricing.latency_meter import usable_calibration

    if path is not None:
        calibration = read_calibration(path)
        calibration.check_device(device)
        if not calibration.covers(architecture):
            return None, f"{path}: the network lies beyond the calibrated space, so it is not predicted"
        return calibration, ""
    try:
        return usable_calibration(device, lambda found: found.covers(architecture)), ""
    except CalibrationError as unfit:
        return None, str(unfit)


def _low_bits_note(architecture: "Architecture") -> str:
    if any(node.bits < 8 for node in architecture.build_graph().nodes):
        return "Below 8 bits there are no faster kernels: what has fewer bits is timed in int8."
    return ""


def _estimated(name: str, architecture: "Architecture", device: str, threads: int) -> dict[str, Any]:
    from objectives.devices import load_profile
    from objectives.devices.roofline import estimate_latency

    profile = load_profile(device)
    estimate = estimate_latency(architecture.build_graph(), profile, threads=threads)
    slowest = max(estimate.operators, key=lambda operator: operator.latency_ms)
    overheads = sum(operator.bound == "overhead" for operator in estimate.operators)
    return {
        "network": name,
        "kind": "estimated",
        "latency_ms": estimate.latency_ms,
        "device": estimate.device,
        "threads": estimate.threads,
        "note": f"Estimated for {profile.runtime.name} from data sheets and published latencies. Slowest operator "
        f"{slowest.name}, {slowest.latency_ms:.3g} ms; {overheads} of {count_of(len(estimate.operators), 'operator')} "
        "are mostly overhead, where estimates are least certain.",
    }


def _cells(row: dict[str, Any]) -> list[str]:
    predicted = ""
    if "predicted_ms" in row:
        predicted = f"{row['predicted_ms']:.3g} ms +- {100 * row['prediction_error']:.0f} %"
    kind = f"{row['kind']}, {row['precision']}" if "precision" in row else row["kind"]
    p90 = f"{row['p90_ms']:.3g} ms" if "p90_ms" in row else ""
    spread = f"{100 * row['spread']:.1f} %" if "spread" in row else ""
    return [row["network"], row["device"], kind, f"{row['latency_ms']:.3g} ms", p90, spread, predicted]


def _calibration_facts(found: "Calibration") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "device": found.device,
        "threads": found.threads,
        "fingerprint": found.fingerprint,
        "seconds": found.seconds,
        "nets": len(found.nets) // 2,
        "errors": {precision: asdict(error) for precision, error in found.errors.items()},
    }


def _print_calibration(found: "Calibration") -> None:
    typer.echo(
        f"{found.device}: {found.fingerprint['processor']}, {found.fingerprint['runtime']}, {found.seconds:.0f} s\n"
    )
    rows = [
        [
            precision,
            str(error.nets),
            f"{100 * error.mean:.1f} %",
            f"{100 * error.within_10_percent:.0f} %",
            f"{100 * error.largest:.0f} %",
            f"{error.rank_correlation:.4f}",
        ]
        for precision, error in found.errors.items()
    ]
    print_table(["held out", "networks", "mean error", "within 10 %", "largest", "rank correlation"], rows)
