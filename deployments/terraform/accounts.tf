# One service account per role, with what the role needs and nothing else. No key is made: pods are these accounts by
# Workload Identity.
locals {
  roles = ["watch", "runs", "workers", "warehouse"]
  # raw/ and experiments/ are read only: for us, an uploaded image is never changed
  written = [for folder in ["images", "results"] : "projects/_/buckets/${local.google.bucket.name}/objects/${local.store}${folder}/"]
}

resource "google_service_account" "role" {
  for_each     = toset(local.roles)
  account_id   = local.google.service_accounts[each.key]
  display_name = "Platestream: ${each.key}"
}

resource "google_service_account_iam_member" "pods" {
  for_each           = google_service_account.role
  service_account_id = each.value.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${local.google.project}.svc.id.goog[${local.namespace}/${each.value.account_id}]"

  depends_on = [google_container_cluster.machines]
}

resource "google_storage_bucket_iam_member" "reads" {
  for_each = google_service_account.role
  bucket   = google_storage_bucket.store.name
  role     = "roles/storage.objectViewer"
  member   = each.value.member
}

resource "google_storage_bucket_iam_member" "writes" {
  for_each = { for role in ["runs", "workers"] : role => google_service_account.role[role] }
  bucket   = google_storage_bucket.store.name
  role     = "roles/storage.objectUser"
  member   = each.value.member

  condition {
    title      = "images and results"
    expression = join(" || ", [for prefix in local.written : "resource.name.startsWith(\"${prefix}\")"])
  }
}

resource "google_pubsub_subscription_iam_member" "watch_pulls" {
  subscription = google_pubsub_subscription.watch.id
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.role["watch"].member
}

# The flow load-warehouse loads a plate as soon as it is published, `platestream warehouse` what that missed.
resource "google_bigquery_dataset_iam_member" "loads" {
  for_each   = { for role in ["runs", "warehouse"] : role => google_service_account.role[role] }
  dataset_id = google_bigquery_dataset.results.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = each.value.member
}

resource "google_project_iam_member" "starts_load_jobs" {
  for_each = { for role in ["runs", "warehouse"] : role => google_service_account.role[role] }
  project  = local.google.project
  role     = "roles/bigquery.jobUser"
  member   = each.value.member
}

resource "google_service_account" "nodes" {
  account_id   = local.google.service_accounts.nodes
  display_name = "Platestream: machines"
}

resource "google_project_iam_member" "nodes_report" {
  project = local.google.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes_pull" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}
