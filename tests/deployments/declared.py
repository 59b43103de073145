"""What deployments/ holds, for the tests of it: manifests and Terraform as trees, an environment with other names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hcl2
import yaml

from flows.declared import FOLDER
from flows.manifests import render_manifests
from tests.parts import ROOT

DEPLOYMENTS = ROOT / FOLDER
TERRAFORM = sorted((DEPLOYMENTS / "terraform").glob("*.tf"))
CONTAINER_FILES = (DEPLOYMENTS / "Containerfile", DEPLOYMENTS / "Containerfile.cuda")


def documents(root: Path = ROOT) -> list[dict[str, Any]]:
    """All Kubernetes objects of the environment ``gcp``."""
    return list(yaml.safe_load_all(render_manifests("gcp", root)))


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [each for each in documents() if each["kind"] in kinds]


def pods() -> dict[str, dict[str, Any]]:
    """Specification of the pods of each Deployment and StatefulSet, by its name."""
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in of_kind("Deployment", "StatefulSet")}


def containers() -> dict[str, dict[str, Any]]:
    return {name: pod["containers"][0] for name, pod in pods().items()}


def declared() -> dict[str, Any]:
    return yaml.safe_load((DEPLOYMENTS / "gcp.yaml").read_text())


def resources() -> dict[str, dict[str, Any]]:
    """All resources of Terraform, as ``google_storage_bucket.store``."""
    found = {}
    for path in TERRAFORM:
        with path.open() as file:
            for block in hcl2.load(file).get("resource", []):
                for kind, named in block.items():
                    for name, body in named.items():
                        found[f"{kind.strip(chr(34))}.{name.strip(chr(34))}"] = body
    return found


def names(value: Any) -> set[str]:
    """Every name that the environment gives to something outside: projects, buckets, accounts, pools."""
    google, kubernetes, cluster = value["google"], value["kubernetes"], value["cluster"]
    return {
        *(google[key] for key in ("project", "region", "place", "topic", "subscription", "dead_letter")),
        *google["zones"],
        google["bucket"]["name"],
        google["dataset"]["name"],
        *google["service_accounts"].values(),
        google["artifacts"]["repository"],
        *google["artifacts"]["images"].values(),
        kubernetes["cluster"],
        *kubernetes["node_pools"],
        kubernetes["postgresql"]["image"],
        *(pool["machine_type"] for pool in kubernetes["node_pools"].values()),
        *(cluster[key] for key in ("name", "namespace", "tls_secret")),
        value["work_pool"]["name"],
    }


def renamed(folder: Path) -> Path:
    """Copy deployments/ with another name for everything in gcp.yaml but places and machines: ``new-`` before each."""
    shutil.copytree(DEPLOYMENTS, folder / FOLDER)
    value = declared()
    dataset = value["google"]["dataset"]
    olds = names(value) - {value["google"]["region"], *value["google"]["zones"]}
    value = _rename(value, olds)
    value["google"]["dataset"] = {**dataset, "name": f"new_{dataset['name']}"}
    (folder / FOLDER / "gcp.yaml").write_text(yaml.safe_dump(value))
    return folder


def _rename(value: Any, olds: set[str]) -> Any:
    if isinstance(value, dict):
        # only pools of machines are named by keys
        return {
            f"new-{key}" if key in ("standard", "floor", "spot") and isinstance(each, dict) else key: _rename(
                each, olds
            )
            for key, each in value.items()
        }
    return f"new-{value}" if isinstance(value, str) and value in olds else value
