"""The installed package: its builds, what importing it costs, its documentation's examples."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
from processes import run_python

import fastcluster_ext
from fastcluster_ext import _config, _kernels, _kmeans

# Modules that open windows or end the process when they are imported.
NOT_FOR_IMPORT = {"fastcluster_ext.__main__"}


def public_modules():
    found = [*pkgutil.iter_modules(fastcluster_ext.__path__, "fastcluster_ext.")]
    found += pkgutil.iter_modules(_kmeans.__path__, "fastcluster_ext._kmeans.")
    return ["fastcluster_ext", *sorted(m.name for m in found if m.name not in NOT_FOR_IMPORT and not m.ispkg)]


def test_show_config(capsys):
    fastcluster_ext.show_config()
    lines = capsys.readouterr().out.splitlines()
    shown = {key: line.split(key, 1)[1].strip() for key, line in zip(_config.config(), lines, strict=True)}
    assert shown["fastcluster_ext"] == fastcluster_ext.__version__
    assert shown["instruction set"] == _kernels.isa
    assert _kernels.isa in shown["instruction sets usable here"].split(", ")
    assert int(shown["threads by default"]) >= 1
    assert int(shown["CPUs available"]) >= 1
    assert shown["compiler"].split()[0] in ("GCC", "Clang")
    assert shown["OpenMP"].startswith("yes" if _kernels.runtime.openmp() else "no: everything runs serially")


@pytest.mark.parametrize("isa", _kernels.built())
def test_an_instruction_set_can_be_forced(isa):
    code = (
        "import fastcluster_ext, fastcluster_ext._kernels as kernels;"
        "print(kernels.isa, kernels.load('lloyd').__file__); fastcluster_ext.show_config()"
    )
    output = run_python(code, FASTCLUSTER_EXT_ISA=isa).stdout
    chosen, file = output.splitlines()[0].split(" ", 1)
    assert chosen == Path(file).parent.name == isa
    assert f"FASTCLUSTER_EXT_ISA {isa}" in " ".join(output.split())


def test_the_best_instruction_set_is_the_default():
    code = "import fastcluster_ext._kernels as kernels; print(kernels.isa)"
    for unset in (None, ""):
        assert run_python(code, FASTCLUSTER_EXT_ISA=unset).stdout.strip() == _kernels.built()[0]


@pytest.mark.parametrize("isa", ["x86_64_v9", "../x86_64_v2", "lloyd", " "])
def test_an_unknown_instruction_set_is_an_import_error(isa):
    done = run_python("import fastcluster_ext", FASTCLUSTER_EXT_ISA=isa, check=False)
    assert done.returncode != 0
    error = done.stderr.splitlines()[-1]
    assert error.startswith(
        f"ImportError: FASTCLUSTER_EXT_ISA={isa!r} cannot be used: this machine and installation have"
    )
    assert _kernels.built()[0] in error


def test_import_is_quick_and_brings_no_optional_package(tmp_path):
    code = (
        "import numpy, sys, time; began = time.process_time(); import fastcluster_ext;"
        "print(time.process_time() - began);"
        "print(*({'sklearn', 'PIL', 'matplotlib', 'scipy', 'dask', 'pandas'} & set(sys.modules)))"
    )
    # Bytecode is kept, as in any installation, whatever this process was told; the first run writes it. Processor time,
    # and the least of several runs, because other work on the machine can only add.
    bytecode = {"PYTHONDONTWRITEBYTECODE": None, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    outputs = [run_python(code, **bytecode).stdout.splitlines() for _ in range(7)]
    assert all(optional == "" for _, optional in outputs)
    assert min(float(seconds) for seconds, _ in outputs[1:]) < 0.060


def test_the_package_is_typed():
    assert (Path(fastcluster_ext.__file__).parent / "py.typed").is_file()


def test_what_is_exported_is_there_and_documented():
    assert sorted(fastcluster_ext.__all__) == fastcluster_ext.__all__
    for name in fastcluster_ext.__all__:
        exported = getattr(fastcluster_ext, name)
        assert name == "__version__" or exported.__doc__


@pytest.mark.parametrize("name", public_modules())
def test_examples_of_the_documentation(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module)
    assert failed == 0
