"""Threads, forks, interrupts and memory: what a call does to the process around it."""

import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl
from processes import environment, run_python

from fastcluster_ext import _kernels, _memory, _threads, cdist, kmeans, linkage, pdist, quantize
from fastcluster_ext.hierarchy import METHODS

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is about Linux")
with_openmp = pytest.mark.skipif(not _kernels.runtime.openmp(), reason="this build has no OpenMP")

RESOLVED = "from fastcluster_ext._threads import resolve_threads; print(resolve_threads(None), resolve_threads(7))"


def resolved(code=RESOLVED, **changes):
    return [int(word) for word in run_python(code, **changes).stdout.split()]


# --- how many ------------------------------------------------------------------------------------------------------


@with_openmp
def test_default_is_the_processors_that_may_be_used():
    assert resolved(OMP_NUM_THREADS=None) == [_threads.available_cpus(), 7]


@with_openmp
def test_omp_num_threads_lowers_the_default_but_not_what_is_asked_for():
    assert resolved(OMP_NUM_THREADS="1") == [1, 7]
    assert resolved(OMP_NUM_THREADS="64") == [_threads.available_cpus(), 7]


@linux
@with_openmp
def test_affinity_caps_the_default():
    cpu = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{cpu}]); " + RESOLVED
    assert resolved(code, OMP_NUM_THREADS=None) == [1, 7]
    # Also when it is set after OpenMP has started.
    code = f"import os, fastcluster_ext; os.sched_setaffinity(0, [{cpu}]); " + RESOLVED
    assert resolved(code, OMP_NUM_THREADS="2") == [1, 7]


@with_openmp
def test_threadpoolctl_lowers_the_default():
    before = _threads.resolve_threads(None)
    with threadpoolctl.threadpool_limits(1):
        assert _threads.resolve_threads(None) == 1
    assert _threads.resolve_threads(None) == before


def quota_of(files, root, monkeypatch):
    """The quota that these files of /proc and /sys would mean."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path", lambda path: root / type(root)(path).relative_to("/"))
        return _threads._cgroup_quota.__wrapped__()


V1 = "11:devices:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/job\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": "0::/\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, math.inf),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2,
        ),
        # The path of another namespace, of which only the root is to be seen.
        ({"proc/self/cgroup": "0::/../host\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/not/here\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
    ],
)
def test_quota_of_the_control_group(files, quota, tmp_path, monkeypatch):
    assert quota_of(files, tmp_path, monkeypatch) == quota


@pytest.mark.parametrize(("quota", "cpus"), [(math.inf, 8), (0.5, 1), (1.5, 2), (3.0, 3), (64.0, 8)])
def test_quota_caps_the_processors(quota, cpus, monkeypatch):
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert _threads.available_cpus() == cpus


# --- forks and callers in parallel ---------------------------------------------------------------------------------

FORK = """
import os, sys, time, warnings
import numpy as np
from fastcluster_ext import kmeans, quantize
from fastcluster_ext._threads import resolve_threads
X = np.random.default_rng(0).normal(size=(50_000, 3))
image = np.random.default_rng(0).integers(0, 30, (300, 400, 3)).astype("uint8")
def work():
    return kmeans(X, 8, init=X[:8], max_iter=5, n_threads=2).inertia, quantize(image, 4, random_state=0).inertia
expected = work()
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons: this process may be multi-threaded
child = os.fork()
if child == 0:
    os._exit(0 if work() == expected and resolve_threads(2) == 1 else 1)
for _ in range(500):
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
    time.sleep(0.01)
else:
    os.kill(child, 9)
    sys.exit("the child hung")
assert os.waitstatus_to_exitcode(status) == 0
assert work() == expected
"""


@linux
def test_a_forked_child_computes():
    run_python(FORK)


def test_calls_from_several_python_threads():
    X = np.random.default_rng(0).normal(size=(20_000, 3))
    image = np.random.default_rng(0).integers(0, 30, (100, 300, 3)).astype(np.uint8)

    def work(seed):
        run, small = kmeans(X, 8, random_state=seed, max_iter=5), quantize(image, 4, random_state=seed)
        return run.inertia, run.labels.tobytes(), small.inertia, small.indices.tobytes()

    found = {}
    callers = [threading.Thread(target=lambda i=i: found.setdefault(i, work(i % 3))) for i in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 6
    for i, result in found.items():
        assert result == work(i % 3)


def beats_during(job):
    """How often another thread wakes up while the job runs: once in a millisecond, at best."""
    beats, done = 0, threading.Event()

    def beat():
        nonlocal beats
        while not done.wait(0.001):
            beats += 1

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        job()
    finally:
        done.set()
        thread.join()
    return beats


def lets_others_run(job):
    """Whether some of three runs does; a call that holds the interpreter's lock gives way once or twice."""
    return any(beats_during(job) > 10 for _ in range(3))


@pytest.mark.parametrize("function", [pdist, cdist])
def test_other_threads_run_while_distances_are_computed(function):
    points = np.random.default_rng(0).random((1000, 2000))
    arguments = (points, points) if function is cdist else (points,)
    assert lets_others_run(lambda: function(*arguments, "canberra", n_threads=1))


@pytest.mark.parametrize("method", METHODS)
def test_other_threads_run_while_a_tree_is_computed(method):
    distances = np.random.default_rng(0).random(5000 * 4999 // 2)
    assert lets_others_run(lambda: linkage(distances, method, n_threads=1))


# --- Ctrl-C --------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
import numpy as np
from fastcluster_ext import kmeans, kmeans_plusplus, quantize
n, p, k = map(int, sys.argv[2:5])
generator = np.random.default_rng(0)
X = generator.random((n, p), dtype=np.float32)
if sys.argv[1] == "close":
    X = 1 + 1e-30 * X.astype(float)
    X[:k, 0] = np.arange(k)
start = X[:k].astype(float)
print("ready", flush=True)
try:
    if sys.argv[1] == "seeds":
        kmeans_plusplus(X, k, random_state=0)
    elif sys.argv[1] in ("hartigan", "hartigan-wong", "macqueen"):
        kmeans(X, k, init=start, algorithm=sys.argv[1], max_iter=10_000)
    elif sys.argv[1] in ("manhattan", "cosine"):
        kmeans(X, k, init=start, metric=sys.argv[1], tol=0, max_iter=10_000)
    else:
        kmeans(X, k, init=start, tol=0, max_iter=10_000)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
assert kmeans([[0.0], [1.0]], 2, random_state=0).inertia == 0
print("works again", flush=True)
"""


@linux
@pytest.mark.parametrize(
    ("job", "n", "p", "k"),
    [
        ("kmeans", 4_000_000, 3, 1024),
        ("kmeans", 100_000, 256, 512),
        ("seeds", 4_000_000, 3, 16_384),
        ("hartigan", 100_000, 256, 512),
        ("hartigan-wong", 1_000_000, 3, 256),
        ("macqueen", 1_000_000, 3, 64),
        ("manhattan", 1_000_000, 3, 64),
        ("cosine", 100_000, 64, 64),
    ],
)
def test_ctrl_c(job, n, p, k):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, job, *map(str, (n, p, k))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    interrupted, after = output.splitlines()
    assert after == "works again"
    milliseconds = 1000 * (float(interrupted) - sent)
    print(f"{job} {n} x {p}, k = {k}: interrupted after {milliseconds:.0f} ms")
    # The aim is 100 ms on an idle machine; the rest is for a busy one to let the process run at all.
    assert milliseconds < 250


# --- memory --------------------------------------------------------------------------------------------------------

SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from fastcluster_ext import ColorHistogram, kmeans, kmeans_plusplus
kmeans(np.zeros((9000, 1), "float32"), 1)
X = np.broadcast_to(np.arange(2, dtype="float32").reshape(2, 1, 1), (2, 25_000_000, 1))
X = np.lib.stride_tricks.as_strided(X, (50_000_000, 1), (0, 0), writeable=False)
image = np.broadcast_to(np.zeros(4, dtype="uint8"), (10_000, 10_000, 4))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 90_000_000,) * 2)
for name, call in {
    "labels": lambda: kmeans(X, 1, init=[[0.0]], max_iter=1),
    "seeds": lambda: kmeans_plusplus(X, 1),
    "expand": lambda: ColorHistogram.from_image(image).expand([3]),
}.items():
    try:
        call()
    except MemoryError as error:
        print(f"{name}: {error}")
"""


@linux
def test_too_little_memory_is_an_error_that_says_how_much():
    lines = run_python(SHORT_OF_MEMORY).stdout.splitlines()
    assert lines[0].startswith("labels: the labels would take 200000000 bytes, but only ")
    assert lines[1].startswith("seeds: ")
    assert "400000000 bytes" in lines[1]
    assert lines[2].startswith("expand: the label image would take 100000000 bytes, but only ")


def test_allocate_names_the_bytes_before_allocating():
    with pytest.raises(
        MemoryError, match=r"the table would take 8000000000000000 bytes, but only [0-9]+ are available"
    ):
        _memory.allocate((10**6, 10**9), np.float64, "the table")
    array = _memory.allocate((3, 4), np.float32, "a table")
    assert array.shape == (3, 4)
    assert array.dtype == np.float32
    assert _memory.allocate(5, np.int32, "a list").shape == (5,)


@linux
@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, math.inf),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2000 kB\n"}, 2_048_000),
        ({"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "500\n"}, math.inf),
        ({"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "400\n"}, 600),
        ({"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "1400\n"}, 0),
        # Cached files are given back when memory is asked for.
        (
            {
                "sys/fs/cgroup/memory.max": "1000\n",
                "sys/fs/cgroup/memory.current": "990\n",
                "sys/fs/cgroup/memory.stat": "anon 300\nfile 690\nactive_file 90\ninactive_file 600\n",
            },
            700,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "990\n",
                "sys/fs/cgroup/memory/memory.stat": "cache 500\ninactive_file 400\nactive_file 100\n",
            },
            510,
        ),
    ],
)
def test_memory_that_is_available(files, available, tmp_path, monkeypatch):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path", lambda path: tmp_path / type(tmp_path)(path).relative_to("/"))
        found = _memory.available_bytes()
    assert found == available
