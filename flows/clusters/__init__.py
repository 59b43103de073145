"""The Dask clusters that measure sites, one module per kind.

    local       a scheduler and a worker per CPU core on this machine
    cuda        a scheduler and a worker per GPU on this machine
    address     a cluster that somebody else runs: nothing is started
    gke         a scheduler, on-demand and spot workers on Kubernetes

``PLATESTREAM_COMPUTE`` names the kind; ``flows.cluster`` runs it.
"""
