"""What a file of deployments/ says about Google Cloud, Kubernetes and the Dask cluster there; read strictly.

Terraform reads the same file, so a name that stands here is a name of the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from flows.clusters.gke_section import ClusterSection, WorkersSection

_Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A name that both Google Cloud and Kubernetes take."""
_Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """A part of a declared file; a key that is not applied would look as if it were."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bucket(Strict):
    """The bucket of the store; ``folder`` is the store's root inside it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")
    folder: str = Field("", pattern=r"^([^/\s]+(/[^/\s]+)*)?$")
    storage_class: Literal["STANDARD", "NEARLINE"] = "STANDARD"
    soft_delete_days: int = Field(7, ge=7, le=90)


class Dataset(Strict):
    """The BigQuery dataset that publications are loaded into."""

    name: str = Field(pattern=r"^\w+$", max_length=1024)
    location: str = Field(min_length=1)


class ServiceAccounts(Strict):
    """Account of each role: the part before the ``@``."""

    watch: _Name
    runs: _Name
    workers: _Name
    warehouse: _Name
    nodes: _Name


class Artifacts(Strict):
    """Where container images lie: ``REGION-docker.pkg.dev/PROJECT/repository/image:tag``."""

    repository: _Name
    images: dict[str, _Name]
    tag: str = Field(pattern=r"^\w[\w.-]*$", max_length=128)


class Blocks(Strict):
    """Names of the prefect-gcp blocks that ``platestream deploy`` registers."""

    credentials: _Name
    bucket: _Name
    warehouse: _Name


class Google(Strict):
    """A project of Google Cloud."""

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    region: _Name
    zones: list[_Name] = Field(min_length=1)
    place: str = Field(min_length=1)
    bucket: Bucket
    topic: _Name
    subscription: _Name
    dead_letter: _Name
    dataset: Dataset
    service_accounts: ServiceAccounts
    artifacts: Artifacts
    blocks: Blocks

    @property
    def store(self) -> str:
        """Root of the store, ``gs://bucket/folder``."""
        return f"gs://{self.bucket.name}/{self.bucket.folder}".rstrip("/")

    def image(self, name: str) -> str:
        """Whole address of one of the container images."""
        artifacts = self.artifacts
        registry = f"{self.region}-docker.pkg.dev/{self.project}/{artifacts.repository}"
        return f"{registry}/{artifacts.images[name]}:{artifacts.tag}"

    def account(self, role: str) -> str:
        """E-mail address of the service account of a role."""
        return f"{getattr(self.service_accounts, role)}@{self.project}.iam.gserviceaccount.com"


class Gpu(Strict):
    """GPUs of one machine."""

    type: str
    count: int = Field(ge=1, le=16)


class NodePool(Strict):
    """Machines of one kind; ``minimum`` and ``maximum`` count them in the whole region."""

    machine_type: str
    gpu: Gpu | None = None
    spot: bool = False
    minimum: int = Field(0, ge=0)
    maximum: int = Field(ge=1)
    disk_gb: int = Field(ge=20)
    usd_per_worker_hour: _Usd


class Postgresql(Strict):
    """The database under the Prefect server."""

    image: str = Field(pattern=r"^\S+:\S+$")
    disk_gb: int = Field(ge=1)


class Kubernetes(Strict):
    """The cluster of machines."""

    cluster: _Name
    operator_version: str
    postgresql: Postgresql
    node_pools: dict[str, NodePool]


class Budgets(Strict):
    """USD after which there is no new work; ``None`` for no limit."""

    per_plate: _Usd | None = None
    per_day: _Usd | None = None


@dataclass(frozen=True)
class Cloud:
    """The parts of an environment that only make sense together."""

    google: Google
    kubernetes: Kubernetes
    cluster: ClusterSection
    budgets: Budgets

    def faults(self) -> list[str]:
        """Say in a sentence each where the parts contradict one another; empty when all is well."""
        return [*self._faults_of_places(), *self._faults_of_pools(), *self._faults_of_sizes()]

    def _faults_of_places(self) -> list[str]:
        google = self.google
        faults = [
            f"google.zones: {zone} is not in google.region, {google.region}"
            for zone in google.zones
            if not zone.startswith(f"{google.region}-")
        ]
        if "cpu" not in google.artifacts.images:
            faults.append("google.artifacts.images has no 'cpu', which all services run")
        if ":" not in self.cluster.image:
            faults.append(f"google.artifacts.images has no {self.cluster.image!r}, which cluster.image names")
        return faults

    def _faults_of_pools(self) -> list[str]:
        workers, faults = self.cluster.workers, []
        if not self.cluster.tls_secret:
            faults.append("cluster.tls_secret is missing: the machines are not alone on Google's network")
        places = [
            ("cluster.scheduler.node_pool", self.cluster.scheduler.node_pool, False),
            ("cluster.workers.floor_node_pool", workers.floor_node_pool, False),
            ("cluster.workers.spot_node_pool", workers.spot_node_pool, True),
        ]
        for place, name, is_spot in places:
            pool = self.kubernetes.node_pools.get(name)
            if pool is None:
                faults.append(
                    f"{place} names {name!r}, and kubernetes.node_pools has {', '.join(self.kubernetes.node_pools)}"
                )
            elif pool.spot != is_spot:
                faults.append(f"{place} must name a pool {'of' if is_spot else 'without'} spot machines, {name} is not")
        return faults

    def _faults_of_sizes(self) -> list[str]:
        workers, pools = self.cluster.workers, self.kubernetes.node_pools
        if not {workers.floor_node_pool, workers.spot_node_pool} <= set(pools):
            return []
        floor, spot = (_capacity(pools[name], workers) for name in (workers.floor_node_pool, workers.spot_node_pool))
        faults = []
        if workers.floor > floor:
            faults.append(
                f"cluster.workers.floor is {workers.floor}, and {workers.floor_node_pool} has room for {floor}"
            )
        if workers.maximum - workers.floor > spot:
            faults.append(
                f"cluster.workers.maximum is {workers.maximum}, of which {workers.maximum - workers.floor} come as "
                f"spot, and {workers.spot_node_pool} has room for {spot}"
            )
        return faults

    def price(self, pool: str) -> float:
        """USD for one hour of one Dask worker on a node pool."""
        return self.kubernetes.node_pools[pool].usd_per_worker_hour


def _capacity(pool: NodePool, workers: WorkersSection) -> int:
    """How many workers a full pool holds; without GPUs, one a machine."""
    if not workers.gpus:
        return pool.maximum
    return pool.maximum * ((pool.gpu.count if pool.gpu else 0) // workers.gpus)
