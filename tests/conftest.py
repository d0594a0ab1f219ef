"""Settings that every test runs under; they must be made before JAX starts its backend."""

import gc
import os
import resource
import signal
from pathlib import Path

# Compiled programs are kept between runs of the suite, and shared by its workers and scripts.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "compiled")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # bitwise claims are made for the CPU
os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # freed memory is used again sooner
# Threads of BLAS wait for each other longer than they compute on matrices as small as ours.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jaxtyping
import pytest

import shapes

shapes.skip_others()
os.fsync = lambda _: None  # no test cuts the power, and disks take long to write
gc.freeze()  # what is imported stays
gc.set_threshold(100_000, 50, 100)  # traces make many objects, and few cycles
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


EXACT = (
    "test_docs", "test_kill", "test_notebooks", "test_degeneracy", "test_engine",
    "test_compilation", "test_precision", "test_old_stores", "test_results_store",
)  # fmt: skip
"""Files whose programs are those of users, to the last bit; the others compile faster ones."""

LONG = (
    "test_epochs", "test_degeneracy_studies", "test_width_studies",
    "test_population_studies", "test_lr_collapse", "test_coordinate_check", "test_programs",
    "test_recovery", "test_growth", "test_extending", "test_ahead", "test_weights", "test_dsa",
    "test_population",
)  # fmt: skip
"""Other files that take long; begun early, so that all workers end at about the same time."""


def pytest_collection_modifyitems(items):
    order = (*EXACT, *LONG)
    items.sort(key=lambda item: (*order, item.path.stem).index(item.path.stem))


@pytest.fixture(autouse=True, scope="module")
def compiler_effort(request):
    """Skips XLA's expensive optimizations, which take longer here than they save."""
    fast = request.node.path.stem not in EXACT
    if jax.config.read("jax_disable_most_optimizations") != fast:
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", fast)


PEAKS = []
"""Largest memory that each worker has used, GB."""


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        session.config.workeroutput["memory"] = kilobytes / 1e6


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    PEAKS.append(getattr(node, "workeroutput", {}).get("memory", float("nan")))


def pytest_terminal_summary(terminalreporter):
    if PEAKS:
        listed = ", ".join(f"{peak:.2f}" for peak in PEAKS)
        terminalreporter.write_line(f"Largest memory of the workers: {listed} GB")


MOST_PROGRAMS = 150
"""Programs in memory above which they are freed at the end of a file; each takes a few MB."""


@pytest.fixture(autouse=True, scope="session")
def programs():
    """Durations of the compilation of all programs that are in memory."""
    found = []

    def compiled(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(compiled)
    return found


@pytest.fixture(autouse=True, scope="module")
def freed_programs(programs):
    """Frees programs between files; they stay on disk."""
    yield
    if len(programs) > MOST_PROGRAMS:
        jax.clear_caches()
        gc.collect()
        programs.clear()


@pytest.fixture
def float64():
    """Double precision for one test; the others keep single precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked_shapes():
    """Leaves wrong shapes to the errors of the functions themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def default_handlers():
    """As in a terminal: a suite in the background may ignore signals, and its children then do."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
