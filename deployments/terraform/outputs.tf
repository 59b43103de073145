output "store" {
  value = trimsuffix("gs://${google_storage_bucket.store.name}/${local.store}", "/")
}

output "credentials_for_kubectl" {
  value = "gcloud container clusters get-credentials ${google_container_cluster.machines.name} --region ${local.google.region} --project ${local.google.project} --dns-endpoint"
}

output "images" {
  value = "${local.google.region}-docker.pkg.dev/${local.google.project}/${google_artifact_registry_repository.images.repository_id}"
}
