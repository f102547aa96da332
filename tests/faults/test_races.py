"""State that is filled in on first use, while several threads ask for it at once or the filling fails."""

import gc
import importlib
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search_space.named_registry import Registry
from studies.dashboard.library import Library
from studies.results.garbage_collection import collector_at_rest, keep_what_is_there
from studies.study.record import STUDY_FILE

from .conftest import Saw

THREADS = 8
PLUGIN = """
import time
from {folder} import THINGS

THINGS.add("{name}-early", 1)
{then}
THINGS.add("{name}-late", 2)
"""
ASK_AT_ONCE = f"""
import sys, threading, time
from importlib.abc import MetaPathFinder
import {{module}} as home

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith("{{folder}}."):
            time.sleep(0.02)

sys.meta_path.insert(0, Slow())
barrier = threading.Barrier({THREADS})
answers = []

def ask():
    barrier.wait()
    answers.append(tuple(home.{{registry}}))

threads = [threading.Thread(target=ask) for _ in range({THREADS})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(set(answers)), len(answers), *answers[0])
"""
LOOK_UP_NOTHING = """
import importlib, pkgutil
from search_space.named_registry import Registry

def refuse(self):
    raise AssertionError(f"the registry of {self.kind}s is asked while a module is imported")

Registry._load = refuse
for package in ("search_space", "objectives", "runners", "studies"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith(("__main__", ".make")):
            importlib.import_module(module.name)
"""


def at_once(ask: Callable[[int], object]) -> list[object]:
    """What each of some threads gets that ask at the same moment, errors included."""
    barrier = threading.Barrier(THREADS)
    answers: list[object] = [None] * THREADS

    def one(number: int) -> None:
        barrier.wait()
        try:
            answers[number] = ask(number)
        except Exception as error:
            answers[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other"
    return answers


def python(code: str) -> str:
    """What a fresh interpreter says to these lines."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Plugins:
    """A folder with modules of a registry."""

    def __init__(self, directory: Path, folder: str) -> None:
        self.directory, self.folder = directory / folder, folder
        self.directory.mkdir()
        (self.directory / "__init__.py").write_text(
            "from search_space.named_registry import Registry\n"
            f"THINGS, OTHERS = Registry('thing', {folder!r}), Registry('other', {folder!r})\n"
        )

    def write(self, name: str, then: str = "") -> None:
        (self.directory / f"{name}.py").write_text(PLUGIN.format(folder=self.folder, name=name, then=then))
        importlib.invalidate_caches()

    def registry(self, name: str = "THINGS") -> Registry[int]:
        found: Registry[int] = getattr(importlib.import_module(self.folder), name)
        return found


@pytest.fixture
def plugins(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a module is changed within the clock's resolution
    folder = f"plugins_{abs(hash(request.node.nodeid))}"
    yield Plugins(tmp_path, folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == folder]:
        del sys.modules[name]


@pytest.mark.fault("{registry} is first asked by eight threads at once", expected="each sees all entries")
@pytest.mark.parametrize(
    ("module", "registry", "folder"),
    [
        ("search_space.blocks", "BLOCKS", "search_space.blocks"),
        ("search_space.references.base", "NETWORKS", "search_space.references"),
        ("objectives.base", "OBJECTIVES", "objectives"),
        ("runners.datasets.base", "LOADERS", "runners.datasets"),
    ],
)
def test_all_threads_see_all_entries(module: str, registry: str, folder: str, saw: Saw) -> None:
    different, asked, *names = python(ASK_AT_ONCE.format(module=module, registry=registry, folder=folder)).split()
    saw(f"{different} answer from {asked} threads, {len(names)} entries")
    assert (different, asked) == ("1", str(THREADS))
    assert names == list(getattr(importlib.import_module(module), registry))


@pytest.mark.fault("a thread asks while another one imports a slow module", expected="it waits for the module")
def test_a_thread_waits_for_a_slow_module(plugins: Plugins, saw: Saw) -> None:
    plugins.write("slow", "time.sleep(0.3)")
    answers = at_once(lambda number: (plugins.registry()["slow-late"], "slow-early" in plugins.registry()))
    saw(set(answers))
    assert answers == [(2, True)] * THREADS


@pytest.mark.fault("two registries of one folder are first asked by different threads", expected="no deadlock")
def test_two_registries_of_one_folder_do_not_wait_for_each_other(plugins: Plugins) -> None:
    for name in ("a", "b", "c"):
        plugins.write(name, "time.sleep(0.05)")
    answers = at_once(lambda number: list(plugins.registry("THINGS" if number % 2 else "OTHERS")))
    assert answers[1::2] == [["a-early", "a-late", "b-early", "b-late", "c-early", "c-late"]] * (THREADS // 2)
    assert answers[::2] == [[]] * (THREADS // 2)


@pytest.mark.fault("a module of a registry cannot be imported: {problem}", expected="the error each time")
@pytest.mark.parametrize("problem", ["import not_there", "raise OSError('too many open files')", "x = ="])
def test_a_broken_module_is_an_error_each_time_and_can_be_mended(plugins: Plugins, problem: str, saw: Saw) -> None:
    plugins.write("a_whole_one")
    plugins.write("broken", problem)
    kinds = [type(error).__name__ for error in at_once(lambda number: plugins.registry()["a_whole_one-late"])]
    for ask in (list, lambda things: things["broken-early"], lambda things: "a_whole_one-early" in things):
        with pytest.raises((ImportError, OSError, SyntaxError)):
            ask(plugins.registry())
    plugins.write("broken")
    saw(f"{', '.join(sorted(set(kinds)))}; {len(list(plugins.registry()))} entries once it is mended")
    assert set(kinds) <= {"ModuleNotFoundError", "OSError", "SyntaxError"}
    assert list(plugins.registry()) == ["a_whole_one-early", "a_whole_one-late", "broken-early", "broken-late"]
    with pytest.raises(RuntimeError, match="registered twice"):
        plugins.registry().add("broken-early", 3)


@pytest.mark.long
@pytest.mark.fault("a module looks up an entry while it is imported", expected="none of this project does")
def test_no_module_asks_a_registry_while_it_is_imported() -> None:
    """It would hold its module's lock and wait for the registry's, whose holder may wait for the module's."""
    python(LOOK_UP_NOTHING)


@pytest.mark.fault("two threads read studies, one begins while the other does", expected="the collector is on again")
@pytest.mark.parametrize("order", ["first in, first out", "first in, last out"])
def test_overlapping_readers_leave_the_collector_on(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gc.isenabled()
    first, second = collector_at_rest(), collector_at_rest()
    first.__enter__()
    second.__enter__()
    assert not gc.isenabled()
    ends = [first, second] if order == "first in, first out" else [second, first]
    ends[0].__exit__(None, None, None)
    assert not gc.isenabled(), "the other one still reads"
    ends[1].__exit__(None, None, None)
    assert gc.isenabled()


class Ring:
    """Garbage that only the collector finds, once nobody holds it."""

    def __init__(self) -> None:
        self.itself = self


def garbage() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


@pytest.mark.fault("garbage lies about when the dashboard freezes what it has read", expected="it is collected first")
def test_garbage_is_collected_before_what_remains_is_frozen() -> None:
    with collector_at_rest():
        dead = garbage()
        assert dead() is not None
        keep_what_is_there()
    gc.unfreeze()
    assert dead() is None


@pytest.mark.fault("what was frozen becomes garbage, study after study", expected="it is collected by and by")
def test_what_becomes_garbage_later_is_collected_by_and_by(saw: Saw) -> None:
    """In a process of its own: how much is held depends on what else is there."""
    code = "from tests.faults.test_races import held; print(held(passes=60))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    saw(f"{done.stdout.strip()} of 1,200,000 dead objects are held")
    assert int(done.stdout) < 600_000


def held(passes: int) -> int:
    """How many of 20,000 dead objects a pass are held after so many passes."""
    kept = list[weakref.ref[Ring]]()
    for _ in range(passes):
        rings = [Ring() for _ in range(20_000)]
        kept += [weakref.ref(ring) for ring in rings]
        keep_what_is_there()
    del rings
    return sum(ref() is not None for ref in kept)


@pytest.mark.fault("a study raises what nobody expected while all are read", expected="the others are read")
def test_one_study_does_not_keep_the_others_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / STUDY_FILE).write_text("")
    library = Library(tmp_path)
    look = library.look
    asked = list[str]()

    def fails(name: str) -> Any:
        asked.append(name)
        if name == "a":
            raise RuntimeError("dictionary changed size during iteration")
        return look(name)

    monkeypatch.setattr(library, "look", fails)
    for count in (1, 2):
        library.warm(["a", "b"])
        deadline = time.monotonic() + 10
        while asked.count("a") < count or library._warming:
            assert time.monotonic() < deadline, asked
            time.sleep(0.01)
    assert "b" in asked and library.peek("b") is not None
    assert "the study a cannot be read" in caplog.text
