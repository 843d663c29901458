"""The package as it is built: under sanitizers, and where there is no compiler."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def test_the_kernel_is_clean_under_sanitizers(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler here")
    sources = [str(file) for file in (PACKAGE / "kernel").glob("*.cpp") if file.name != "module.cpp"]
    flags = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-D_GLIBCXX_ASSERTIONS"]
    program = tmp_path / "sanitized"
    subprocess.run(
        [compiler, *flags, *checks, *sources, str(PACKAGE / "tests" / "sanitize.cpp"), "-o", str(program)], check=True
    )

    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" served\n")


def test_without_a_compiler_the_same_package_plans_in_python(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("build", "__pycache__"))
    environment = {**os.environ, "CXX": "/bin/false", "HYPOTHESIS_PROFILE": "short"}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, env=environment, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("ossature_darp-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "wheel")
    # -S: what is installed here for developing stays out of sight.
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "wheel"), sysconfig.get_path("purelib")])

    kernel = subprocess.run(
        [sys.executable, "-S", "-c", "import darp; print(darp.KERNEL, darp.__file__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    tests = [str(PACKAGE / "tests"), "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "pytest", *tests],
        env=environment,
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert kernel == f"python {tmp_path / 'wheel' / 'darp' / '__init__.py'}\n"
    assert ran.returncode == 0, ran.stdout[-3000:]
