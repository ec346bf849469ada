"""What is shipped for deployments, and its judges, each skipped by name where it is not there."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]

Tool = Callable[..., str]
Manifests = dict[str, Any]


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Run a program of the extra `deploy`, or of the system; its complaint is the failure of the test."""

    def run(name: str, *words: str | Path) -> str:
        beside = Path(sys.executable).parent / name
        found = str(beside) if beside.exists() else shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name} (pip install '.[deploy]', or your system's package)")
        done = subprocess.run(
            [found, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def manifests(tool: Tool) -> Manifests:
    """Return what `kubectl apply -k` would send, by kind and name."""
    rendered = tool("kubectl", "kustomize", ROOT / "deploy" / "kubernetes")
    return {
        f"{document['kind']} {document['metadata']['name']}": document
        for document in yaml.safe_load_all(rendered)
    }
