"""Settings that every test runs under; they must be made before JAX starts its backend."""

import ctypes
import functools
import gc
import os
import resource
import signal
import subprocess
import sys
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


EXACT = ("test_engine", "test_precision", "test_results_store")
"""Files whose programs are those of users, to the last bit."""

COMPUTING = ("test_docs", "test_notebooks", "test_degeneracy")
"""Files whose programs run for longer than they compile; compiled without fusion emitters.

Those of all other files are compiled without expensive optimizations too.
"""

LONG = (
    "test_kill", "test_examples", "test_epochs", "test_degeneracy_studies", "test_width_studies",
    "test_population_studies", "test_lr_collapse", "test_coordinate_check", "test_programs",
    "test_recovery", "test_growth", "test_extending", "test_ahead", "test_weights", "test_dsa",
    "test_population", "test_sharing", "test_checkpoints", "test_structured_cells",
    "test_cell_contract", "test_workers", "test_time_limit", "test_solutions", "test_cost",
)  # fmt: skip
"""Other files that take long; begun early, so that all workers end at about the same time."""


def pytest_collection_modifyitems(items):
    order = (*COMPUTING, *EXACT, *LONG)
    items.sort(key=lambda item: (*order, item.path.stem).index(item.path.stem))


USUAL = {"xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32}
"""XLA's flags that make compilation for the CPU slow, and their defaults.

Without fusion emitters it takes half the time, and a fifth less if the code of a program is not
split for threads, of which the workers leave none idle.
"""
FAST_FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
SHORTCUTS = set()
"""What the programs of the present file are compiled without: `emitters`, `optimizations`."""


def compile_faster():
    """Sets XLA_FLAGS, so that this process and those it starts compile, and share, programs with
    `FAST_FLAGS`; those of files in `EXACT` are compiled as usual.

    Where a flag is missing, on which XLA would abort, or the function of JAX that is replaced
    here, compiling only takes longer.
    """
    from jax._src import compiler

    if (options_of := getattr(compiler, "get_compile_options", None)) is None:
        return
    if FAST_FLAGS not in os.environ.get("XLA_FLAGS", ""):  # a worker of pytest has them
        flags = f"{os.environ.get('XLA_FLAGS', '')} {FAST_FLAGS}".strip()
        read = "from jaxlib import xla_client as x; x.CompileOptions().executable_build_options"
        probe = [sys.executable, "-c", f"{read}.debug_options"]
        environment = {**os.environ, "XLA_FLAGS": flags}
        if subprocess.run(probe, env=environment, capture_output=True).returncode:
            return
        os.environ["XLA_FLAGS"] = flags

    @functools.wraps(options_of)
    def options_with_flag(*args, **kwargs):
        options = options_of(*args, **kwargs)
        if not SHORTCUTS:
            options.env_option_overrides = [*options.env_option_overrides, *USUAL.items()]
        return options

    compiler.get_compile_options = options_with_flag


compile_faster()
WITH_FAST_FLAGS = os.environ.get("XLA_FLAGS", "")
WITHOUT_FAST_FLAGS = WITH_FAST_FLAGS.replace(FAST_FLAGS, "").strip()


@pytest.fixture(autouse=True, scope="module")
def compiler_effort(request):
    """Skips steps of XLA's compiler that take longer here than they save.

    Also in the processes that a test starts, apart from forked ones.
    """
    name, before = request.node.path.stem, set(SHORTCUTS)
    SHORTCUTS.clear()
    if name not in EXACT:
        SHORTCUTS.update({"emitters"} if name in COMPUTING else {"emitters", "optimizations"})
    if before != SHORTCUTS:
        jax.clear_caches()
    fast = "optimizations" in SHORTCUTS
    jax.config.update("jax_disable_most_optimizations", fast)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1" if fast else "0"
    if WITH_FAST_FLAGS != WITHOUT_FAST_FLAGS:
        os.environ["XLA_FLAGS"] = WITH_FAST_FLAGS if SHORTCUTS else WITHOUT_FAST_FLAGS


MEASURED = ("test_cost", "test_docs")
"""Files in which the speed of the machine is measured."""


@pytest.fixture(autouse=True, scope="module")
def nominal_speed(request):
    """Dry runs and progress bars begin with nominal values in place of a measurement."""
    if request.node.path.stem in MEASURED:
        yield
        return
    from rnnjax.sweep import cost

    with pytest.MonkeyPatch.context() as patch:
        nominal = cost.nominal_machine
        patch.setattr(cost, "measure_machine", lambda layout, size=1024: nominal(layout))
        yield


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


MOST_MEMORY = 1.4
"""Memory of a process above which its programs are freed at the end of a file, GB."""


def memory_in_use():
    """Memory of this process, GB; the largest so far where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


@pytest.fixture(autouse=True, scope="module")
def freed_programs():
    """Frees programs between files where memory or its mappings run short; they stay on disk."""
    yield
    from rnnjax.devices import free_programs

    if free_programs(0.3) or memory_in_use() > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
            trim(0)  # free pages go back to the system, for memory_in_use


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


@pytest.fixture(scope="module")
def default_handlers():
    """As in a terminal: a suite in the background may ignore signals, and its children then do."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
