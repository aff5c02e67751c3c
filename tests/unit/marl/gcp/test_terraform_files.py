"""The module as files: what they say, what they never hold, how they are put in place."""

import hashlib
import re

import pytest
from markdown_it import MarkdownIt

from marl.gcp import terraform
from marl.gcp.plan import CostLine, DatabasePlan, NetworkPlan, Reason, StoragePlan
from marl.gcp.terraform import markdown, render, write_terraform
from tests.unit.marl.gcp.example_plans import (
    example_compute,
    example_plan,
    full_plan,
    group,
)

HOSTILE = 'x | y <script>alert(1)</script> `code` [a](javascript:b) ${var.p} %{if} "q" \\ & _i_ ~s~'


def html(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def test_same_plan_same_bytes(tmp_path) -> None:
    first = write_terraform(example_plan(), tmp_path / "one")
    second = write_terraform(example_plan(), tmp_path / "two")
    assert first == second
    for file in first.files:
        one, two = (tmp_path / folder / file.name for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert hashlib.sha256(one.read_bytes()).hexdigest() == file.sha256
        assert one.stat().st_size == file.size_bytes
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == list(terraform.TEMPLATES)


def test_summary_counts_what_the_files_hold(tmp_path) -> None:
    summary = write_terraform(example_plan(), tmp_path / "m")
    assert summary.instance_groups == {"on-demand": (2, 7), "spot": (1, 5)}
    assert summary.monthly_usd == pytest.approx(512.346 + 438.712)
    for expected in (
        "google_compute_instance_template.app",
        "google_compute_region_instance_group_manager.app",
        "google_compute_region_autoscaler.app",
        "google_storage_bucket.data",
        "google_compute_network.main",
        "google_compute_subnetwork.main",
        "google_compute_router_nat.main",
        "google_compute_firewall.load_balancer",
        "google_compute_global_forwarding_rule.http",
        "google_sql_database_instance.primary",
        "google_sql_database_instance.replica",
        "google_service_account.node",
    ):
        assert expected in summary.resources


def test_rewriting_replaces_the_module_whole(tmp_path) -> None:
    into = tmp_path / "m"
    write_terraform(example_plan(), into)
    write_terraform(example_plan(name="other"), into)
    assert '"other"' in (into / "variables.tf").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_an_error_leaves_the_old_module_alone(tmp_path, monkeypatch) -> None:
    into = tmp_path / "m"
    write_terraform(example_plan(), into)
    before = {p.name: p.read_bytes() for p in into.iterdir()}
    written = []

    def fails_on_the_third(self, data) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError("disk full")
        with self.open("wb") as stream:
            return stream.write(data)

    monkeypatch.setattr("pathlib.Path.write_bytes", fails_on_the_third)
    with pytest.raises(OSError, match="disk full"):
        write_terraform(example_plan(name="other"), into)
    assert {p.name: p.read_bytes() for p in into.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_state_beside_the_module_is_never_deleted(tmp_path) -> None:
    into = tmp_path / "m"
    write_terraform(example_plan(), into)
    (into / "terraform.tfstate").write_text("precious")
    with pytest.raises(FileExistsError, match=r"holds terraform\.tfstate"):
        write_terraform(example_plan(), into)
    assert (into / "terraform.tfstate").read_text() == "precious"
    with pytest.raises(FileExistsError, match="is a file"):
        write_terraform(example_plan(), into / "README.md")


def test_impossible_disk_is_refused_before_anything_is_written(tmp_path) -> None:
    plan = example_plan(storage=StoragePlan(disk_type="hyperdisk-balanced", disk_gib=50))
    with pytest.raises(ValueError, match="n2-standard-4 cannot attach hyperdisk-balanced"):
        write_terraform(plan, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_text_terraform_cannot_hold_is_refused(tmp_path) -> None:
    plan = example_plan().model_copy(update={"demand": "half \udc00"})
    with pytest.raises(ValueError, match="surrogate"):
        write_terraform(plan, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_no_credential_in_any_file() -> None:
    texts = render(example_plan())
    forbidden = re.compile(
        r"password\s*=|private_key|credentials\s*=|access_token|BEGIN [A-Z ]*KEY|AIza[\w-]{20}"
        r"|client_secret|root_password|\brandom_password\b",
        re.I,
    )
    assert not {name: m[0] for name, text in texts.items() if (m := forbidden.search(text))}
    # And none could be handed in: no variable is a secret, no user signs in with a password.
    assert "sensitive" not in "".join(texts.values())
    assert "CLOUD_IAM_SERVICE_ACCOUNT" in texts["database.tf"]


@pytest.mark.parametrize("is_full", [False, True])
def test_every_variable_says_what_it_is_and_is_used(is_full: bool) -> None:
    texts = render(full_plan() if is_full else example_plan())
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', texts["variables.tf"], re.M | re.S)
    assert len(blocks) > 25
    code = "".join(text for name, text in texts.items() if name.endswith(".tf"))
    for name, body in blocks:
        assert re.match(r'  description = "[A-Z].+\."\n  type +=', body), name
        assert len(re.findall(rf"\bvar\.{name}\b", code)) > body.count(f"var.{name}"), name
        assert ("  default " in body) == (name != "project_id"), name


def test_the_readme_holds_costs_reasons_and_limits() -> None:
    plan = example_plan(
        costs=(CostLine(resource="VMs", monthly_usd=1234.567, basis="3 × 730 h × 0.5 USD"),),
        reasons=(Reason(resource="compute", text="Peak of 11.3 replicas."),),
    )
    readme = render(plan)["README.md"]
    rows = re.findall(r"<td[^>]*>(.*?)</td>", html(readme))
    assert rows.count("1234.57") == 1
    assert "<strong>1234.57</strong>" in rows
    assert "3 × 730 h × 0.5 USD" in rows
    assert "Peak of 11.3 replicas." in rows
    assert "Not proven: Google's acceptance" in readme
    assert "terraform apply" in readme
    assert "maddpg" in readme
    assert plan.demand in html(readme)


def test_synthetic_data_is_said_so_and_only_then() -> None:
    assert "Synthetic data" in render(example_plan(is_synthetic=True))["README.md"]
    assert "Synthetic data" not in render(example_plan(is_synthetic=False))["README.md"]


def test_what_is_not_used_is_not_written() -> None:
    """A small plan's module does not know of what a large one needs."""
    small = example_plan(compute=example_compute(group("e2-standard-2", 1, 3)))
    words = {
        *("gpu_initialization_period_s", "agent.googleapis.com/gpu", "debian-12-arm64"),
        *("google_compute_region_commitment", "buy_commitments"),
        *("google_redis_instance", "redis.googleapis.com", "redis_memory_gib"),
        *("service_lb_policy", "auto_network_tier", "nat_network_tier"),
    }
    for plan, expected in ((small, set()), (full_plan(), words)):
        hcl = "".join(text for name, text in render(plan).items() if name.endswith(".tf"))
        assert {word for word in words if word in hcl} == expected
    assert len(render(small)["variables.tf"]) < len(render(full_plan())["variables.tf"])


def test_nobody_buys_a_commitment_by_accident() -> None:
    texts = render(full_plan())
    switch = re.search(r'variable "buy_commitments" \{.*?^\}', texts["variables.tf"], re.M | re.S)
    assert switch
    assert re.search(r"default +\= false", switch[0])
    assert "for_each = var.buy_commitments ? var.commitments : {}" in texts["compute.tf"]
    readme = texts["README.md"]
    assert "contracts that nobody can cancel" in readme
    assert "321.50" in readme
    assert "outlive `terraform destroy`" in readme


def test_the_readme_lists_every_group() -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", html(render(full_plan())["README.md"]), re.S)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert ["gpu-spot", "g2-standard-8", "spot", "1 to 5", "200 GiB pd-ssd"] in cells
    assert [
        *("on-demand", "c3-standard-4", "on demand", "2 to 7"),
        "50 GiB hyperdisk-balanced, 4000 IOPS",
    ] in cells


def test_the_readme_tells_variants_apart() -> None:
    zonal = DatabasePlan(tier="db-custom-2-8192", has_ha=False, read_replicas=0, disk_gib=10)
    readme = render(example_plan(database=zonal))["README.md"]
    assert "zonal, 0 read replica(s)" in readme
    assert "standby" not in readme
    plain = render(example_plan(network=NetworkPlan(peak_gbps=1)))["README.md"]
    assert "service_lb_policy" not in plain
    assert "Redis" not in plain


def test_markdown_from_data_is_only_text() -> None:
    plan = example_plan(
        demand=HOSTILE,
        policy=HOSTILE,
        reasons=(Reason(resource=HOSTILE, text=HOSTILE),),
        costs=(CostLine(resource=HOSTILE, monthly_usd=1, basis=HOSTILE),),
    )
    page = html(render(plan)["README.md"])
    assert "<script" not in page
    assert "<a " not in page
    assert "<em>" not in page
    shown = page.count(
        HOSTILE.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
    )
    assert shown == 6  # policy, demand, and two cells in each of two tables


@pytest.mark.parametrize("text", ["- item", "1. item", "# head", "a\nb", "> quote", "+ x", "* x"])
def test_markdown_keeps_one_paragraph(text: str) -> None:
    assert html(markdown(text)).startswith("<p>")
    assert html(markdown(text)).count("<p>") == 1
