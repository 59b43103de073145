"""The section ``cluster`` of an environment's file in deployments/: names, images and sizes on Kubernetes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
AMOUNT = r"^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$"
"""Kubernetes' way of writing cores and bytes, such as 500m and 16Gi."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SchedulerSection(_Strict):
    """Where the scheduler runs; on a standard node, for all runs lose what is in flight when it goes."""

    cpu: str = Field("1", pattern=AMOUNT)
    memory: str = Field("4Gi", pattern=AMOUNT)
    node_pool: str = Field(pattern=NAME)


class WorkersSection(_Strict):
    """The workers: one per pod, with one GPU or none.

    Parameters
    ----------
    floor
        On-demand workers that are always there.
    maximum
        Workers at most, on-demand and spot.
    gpus
        GPUs of a worker.
    threads
        Sites that a worker has in hand at a time.
    """

    floor: int = Field(1, ge=0, le=100)
    maximum: int = Field(ge=1, le=1000)
    gpus: int = Field(1, ge=0, le=1)
    cpu: str = Field("4", pattern=AMOUNT)
    memory: str = Field("16Gi", pattern=AMOUNT)
    threads: int = Field(4, ge=1, le=64)
    spot_node_pool: str = Field(pattern=NAME)
    floor_node_pool: str = Field(pattern=NAME)

    @model_validator(mode="after")
    def _check_floor(self) -> WorkersSection:
        if self.floor > self.maximum:
            raise ValueError(f"floor must be at most maximum, got {self.floor} and {self.maximum}")
        return self


class ClusterSection(_Strict):
    """The whole section.

    Parameters
    ----------
    name
        Name of the DaskCluster; what the operator makes is named after it.
    namespace
        Kubernetes namespace.
    image
        Container image of scheduler and workers, with the same packages as the runs'.
    service_account
        Kubernetes service account of the workers, bound to a Google one that reads and writes the bucket.
    tls_secret
        Secret with the files that ``platestream certificates`` made; empty for no TLS.
    """

    # the operator appends -scheduler, and names have 63 characters at most
    name: str = Field(pattern=NAME, max_length=53)
    namespace: str = Field(pattern=NAME, max_length=63)
    image: str = Field(min_length=1)
    service_account: str = ""
    tls_secret: str = ""
    scheduler: SchedulerSection
    workers: WorkersSection

    @property
    def address(self) -> str:
        """Address of the scheduler inside Kubernetes."""
        protocol = "tls" if self.tls_secret else "tcp"
        return f"{protocol}://{self.name}-scheduler.{self.namespace}.svc.cluster.local:8786"

    @property
    def spot_group(self) -> str:
        """Name of the DaskWorkerGroup of spot workers."""
        return f"{self.name}-spot"
