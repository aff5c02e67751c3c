"""Installs the stand-in where Terraform looks for providers, and runs Terraform against it."""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.doubles.terraform_provider.source import cached_schemas

VERSION = "6.50.0"
REPO = Path(__file__).resolve().parents[3]
INSTALL_HINT = (
    "the terraform program is not on PATH; install Terraform 1.9 or newer "
    "(https://developer.hashicorp.com/terraform/install) and run the tests again"
)


@dataclass(frozen=True)
class Terraform:
    """The real Terraform program, with only the stand-in to install from.

    Attributes:
        program: path of the executable.
        cli_config: a CLI configuration whose one installation method is the mirror.
        home: a home folder of its own, for the plugin's certificate.
        schemas: the provider's parsed schemas.
        reattach: address of a provider that already runs, or "" to start one per command.
    """

    program: Path
    cli_config: Path
    home: Path
    schemas: Path
    reattach: str = ""

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `terraform arguments` in `folder`; the caller judges the exit status."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("TF_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_"))
        }
        env = kept | {
            "HOME": str(self.home),
            "TF_CLI_CONFIG_FILE": str(self.cli_config),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }
        if self.reattach:
            env["TF_REATTACH_PROVIDERS"] = self.reattach
        command = [str(self.program), *arguments]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False
        )

    def ok(self, folder: Path, *arguments: str) -> str:
        """Run, and fail with everything Terraform said unless it succeeds. Returns its output."""
        done = self.run(folder, *arguments)
        assert done.returncode == 0, f"terraform {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def output(self, folder: Path) -> dict[str, Any]:
        """The outputs' values after apply."""
        outputs = json.loads(self.ok(folder, "output", "-json"))
        return {name: each["value"] for name, each in outputs.items()}

    @contextmanager
    def with_running_provider(self) -> Iterator["Terraform"]:
        """The same Terraform with one provider process for all commands: four times as fast."""
        command = [*_provider_command(self.schemas), "--dev"]
        env = os.environ | {"PYTHONPATH": str(REPO), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                said = (re.search(r"TF_REATTACH_PROVIDERS='(.+)'", line) for line in process.stdout)
                address = next((match[1] for match in said if match), None)
                assert address is not None, "the provider ended before it was ready"
                yield replace(self, reattach=address)
            finally:
                # It keeps nothing that a kill could spoil, and a polite end has been seen to hang.
                process.kill()


def install(root: Path) -> Terraform:
    """Build a filesystem mirror under `root` and return Terraform bound to it.

    Raises:
        FileNotFoundError: Terraform or the archived schemas are missing; the text says how to get
            them.
    """
    program = shutil.which("terraform")
    if program is None:
        raise FileNotFoundError(INSTALL_HINT)
    schemas = cached_schemas()
    mirror, home = root / "mirror", root / "home"
    home.mkdir(parents=True)
    plugin = mirror / "registry.terraform.io/hashicorp/google" / VERSION / _target()
    plugin.mkdir(parents=True)
    launcher = plugin / f"terraform-provider-google_v{VERSION}"
    command = _provider_command(schemas)
    launcher.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(REPO))}\nexec {shlex.join(command)} "$@"\n'
    )
    launcher.chmod(0o755)
    cli_config = root / "terraform.rc"
    cli_config.write_text(
        f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(str(mirror))}\n"
        "  }\n}\ndisable_checkpoint = true\n"
    )
    return Terraform(Path(program), cli_config, home, schemas)


def _provider_command(schemas: Path) -> list[str]:
    return [sys.executable, "-m", "tests.doubles.terraform_provider", str(schemas)]


def _target() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}_{machine}"
