resource "google_compute_network" "machines" {
  name                    = local.machines.cluster
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "machines" {
  name                     = local.machines.cluster
  region                   = local.google.region
  network                  = google_compute_network.machines.id
  ip_cidr_range            = "10.10.0.0/20"
  private_ip_google_access = true # the store is reached without the internet

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.20.0.0/16"
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.30.0.0/20"
  }
}

# Machines have no addresses of their own; images of others (PostgreSQL, the operator) come through here.
resource "google_compute_router" "machines" {
  name    = local.machines.cluster
  region  = local.google.region
  network = google_compute_network.machines.id
}

resource "google_compute_router_nat" "machines" {
  name                               = local.machines.cluster
  router                             = google_compute_router.machines.name
  region                             = local.google.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

resource "google_container_cluster" "machines" {
  name                     = local.machines.cluster
  location                 = local.google.region
  node_locations           = local.google.zones
  network                  = google_compute_network.machines.id
  subnetwork               = google_compute_subnetwork.machines.id
  datapath_provider        = "ADVANCED_DATAPATH" # applies the network policies
  remove_default_node_pool = true
  initial_node_count       = 1
  deletion_protection      = true

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }
  private_cluster_config {
    enable_private_nodes = true
  }
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true # kubectl from anywhere, by Google's sign-in
    }
    ip_endpoints_config {
      enabled = false
    }
  }
  workload_identity_config {
    workload_pool = "${local.google.project}.svc.id.goog"
  }
  release_channel {
    channel = "REGULAR"
  }
  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }
  resource_labels = { application = "platestream" }
  node_config {
    service_account = google_service_account.nodes.email

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
  lifecycle {
    ignore_changes = [node_config] # of the first machines, which are gone
  }

  depends_on = [google_project_service.used, google_project_iam_member.nodes_report]
}

resource "google_container_node_pool" "pool" {
  for_each       = local.machines.node_pools
  name           = each.key
  cluster        = google_container_cluster.machines.id
  node_locations = local.google.zones

  autoscaling {
    total_min_node_count = each.value.minimum
    total_max_node_count = each.value.maximum
    location_policy      = try(each.value.spot, false) ? "ANY" : "BALANCED"
  }
  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = each.value.machine_type
    spot            = try(each.value.spot, false)
    disk_size_gb    = each.value.disk_gb
    disk_type       = "pd-balanced"
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA" # pods are their own account, not the machine's
    }

    dynamic "guest_accelerator" {
      for_each = try([each.value.gpu], [])
      content {
        type  = guest_accelerator.value.type
        count = guest_accelerator.value.count
        gpu_driver_installation_config {
          gpu_driver_version = "LATEST" # CUDA 13 needs 580 or newer
        }
      }
    }

    # A site apart that needs too much memory is killed alone, not with its worker and all sites beside it.
    dynamic "kubelet_config" {
      for_each = contains([local.workers.floor_node_pool, local.workers.spot_node_pool], each.key) ? ["workers"] : []
      content {
        single_process_oom_kill = true
      }
    }

    # Nothing but Dask's workers, which tolerate it, may take a place on machines that go away.
    dynamic "taint" {
      for_each = try(each.value.spot, false) ? ["spot"] : []
      content {
        key    = "cloud.google.com/gke-spot"
        value  = "true"
        effect = "NO_SCHEDULE"
      }
    }
  }
}
