# One service account per role, with what the role needs and nothing else. No key is made: pods are these accounts by
# Workload Identity.
locals {
  roles = ["watch", "runs", "workers", "warehouse"]
  # raw/ and experiments/ are read only: for us, an uploaded image is never changed
  written = {
    runs    = ["images", "results", "costs", "illumination", "portraits"]
    workers = ["images", "results"]
    watch   = ["alerts"]
  }
  swept   = ["images", "results"]
  objects = "projects/_/buckets/${local.google.bucket.name}/objects/${local.store}"
  role_id = replace(local.google.service_accounts.watch, "-", "_")
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
  for_each = local.written
  bucket   = google_storage_bucket.store.name
  role     = "roles/storage.objectUser"
  member   = google_service_account.role[each.key].member

  condition {
    title      = join(", ", each.value)
    expression = join(" || ", [for folder in each.value : "resource.name.startsWith(\"${local.objects}${folder}/\")"])
  }
}

# The watcher deletes what killed workers left behind, and writes nothing but what it remembers of alerts.
resource "google_project_iam_custom_role" "sweeps" {
  role_id     = "${local.role_id}_sweeps"
  title       = "Platestream: deletes objects"
  permissions = ["storage.objects.delete"]
}

resource "google_storage_bucket_iam_member" "watch_sweeps" {
  bucket = google_storage_bucket.store.name
  role   = google_project_iam_custom_role.sweeps.id
  member = google_service_account.role["watch"].member

  condition {
    title      = join(", ", local.swept)
    expression = join(" || ", [for folder in local.swept : "resource.name.startsWith(\"${local.objects}${folder}/\")"])
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

# Both name a load job alike, and who comes second waits for the other's: jobUser shows an account only its own.
resource "google_project_iam_custom_role" "sees_jobs" {
  role_id     = "${local.role_id}_sees_jobs"
  title       = "Platestream: sees load jobs"
  permissions = ["bigquery.jobs.get"]
}

resource "google_project_iam_member" "sees_load_jobs" {
  for_each = { for role in ["runs", "warehouse"] : role => google_service_account.role[role] }
  project  = local.google.project
  role     = google_project_iam_custom_role.sees_jobs.id
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
