"""Epoch reports through the pipe: whole lines, in order, from many processes, and never a wait."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

from runners.engines.base import EpochReport
from runners.engines.processes.reports import ReportPipe, write_report


def report(ticket: int, epoch: int) -> EpochReport:
    return EpochReport(ticket=ticket, epoch=epoch, epochs=10_000, metric=epoch / 3)


def write_many(writer: Connection, ticket: int, count: int) -> None:
    for epoch in range(1, count + 1):
        write_report(writer, report(ticket, epoch))


def test_reports_arrive_as_they_were_written() -> None:
    pipe = ReportPipe()
    assert pipe.read() == []
    sent = [report(ticket, epoch) for ticket in (3, 12_345) for epoch in (1, 2)]
    for each in sent:
        write_report(pipe.writer, each)
    assert pipe.read() == sent
    assert pipe.read() == []
    pipe.close()


def test_a_full_pipe_drops_reports_and_keeps_those_before() -> None:
    pipe = ReportPipe()
    write_many(pipe.writer, 1, 20_000)  # more than any pipe holds; would wait for ever
    kept = pipe.read()
    assert 100 < len(kept) < 20_000
    assert kept == [report(1, epoch) for epoch in range(1, len(kept) + 1)]
    write_report(pipe.writer, report(2, 1))
    assert pipe.read() == [report(2, 1)]
    pipe.close()


def test_without_a_reader_nothing_happens() -> None:
    pipe = ReportPipe()
    pipe._reader.close()
    write_report(pipe.writer, report(1, 1))
    pipe.writer.close()
    write_report(pipe.writer, report(1, 2))


def test_processes_that_write_at_once_and_are_killed_leave_whole_lines() -> None:
    pipe = ReportPipe()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(pipe.writer, ticket, 10**7)) for ticket in (1, 2, 3)]
    for writer in writers:
        writer.start()
    seen: dict[int, list[int]] = {1: [], 2: [], 3: []}
    killed = False
    while not all(seen[ticket] and seen[ticket][-1] > 2000 for ticket in (1, 2)):
        for found in pipe.read():
            assert found.metric == found.epoch / 3
            seen[found.ticket].append(found.epoch)
        if seen[3] and not killed:
            os.kill(writers[2].pid or 0, signal.SIGKILL)
            killed = True
    for writer in writers:
        writer.kill()
        writer.join()
    for epochs in seen.values():
        assert epochs == sorted(set(epochs))
    pipe.close()
