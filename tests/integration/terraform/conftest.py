"""The real Terraform bound to the stand-in provider; installed once a session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marl.gcp.plan import ProvisioningPlan
from marl.gcp.terraform import write_terraform
from tests.doubles.terraform_provider.mirror import Terraform, install

PROJECT = ("-var", "project_id=stratoform-test-1")


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Terraform; fails, and says how to install what is missing, rather than skips."""
    try:
        return install(tmp_path_factory.mktemp("terraform"))
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def quick_terraform(terraform: Terraform) -> Iterator[Terraform]:
    """The same with a provider that keeps running: for the many short checks."""
    with terraform.with_running_provider() as running:
        yield running


@pytest.fixture
def module(terraform: Terraform, tmp_path: Path) -> Callable[[ProvisioningPlan], Path]:
    """Writes a plan as a module and initialises it; returns the folder."""

    def write(plan: ProvisioningPlan) -> Path:
        folder = tmp_path / f"module-{len(list(tmp_path.iterdir()))}"
        write_terraform(plan, folder)
        terraform.ok(folder, "init", "-no-color")
        return folder

    return write
