resource "google_storage_bucket" "store" {
  name                        = local.google.bucket.name
  location                    = local.google.region
  storage_class               = local.google.bucket.storage_class
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # What is deleted by mistake can be brought back for a while. No object of ours is ever overwritten, so versions of
  # objects would only be paid for.
  soft_delete_policy {
    retention_duration_seconds = local.google.bucket.soft_delete_days * 86400
  }

  # Nothing is moved to another class or deleted by age: a published plate is compared with its images for good.
  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = local.google.artifacts.repository
  location      = local.google.region
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.used]
}
