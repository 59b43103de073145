# Cloud Storage tells of each new image. Messages are hints: one that is lost costs minutes, since folders are listed too.
data "google_storage_project_service_account" "storage" {}

resource "google_pubsub_topic" "images" {
  name = local.google.topic

  message_storage_policy {
    allowed_persistence_regions = [local.google.region]
  }

  depends_on = [google_project_service.used]
}

resource "google_pubsub_topic_iam_member" "storage_publishes" {
  topic  = google_pubsub_topic.images.id
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.storage.member
}

resource "google_storage_notification" "images" {
  bucket             = google_storage_bucket.store.name
  topic              = google_pubsub_topic.images.id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = "${local.store}raw/"

  depends_on = [google_pubsub_topic_iam_member.storage_publishes]
}

resource "google_pubsub_topic" "dead_letter" {
  name = local.google.dead_letter

  message_storage_policy {
    allowed_persistence_regions = [local.google.region]
  }
}

resource "google_pubsub_subscription" "dead_letter" {
  name                       = local.google.dead_letter
  topic                      = google_pubsub_topic.dead_letter.id
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_subscription" "watch" {
  name                       = local.google.subscription
  topic                      = google_pubsub_topic.images.id
  ack_deadline_seconds       = 60
  message_retention_duration = "86400s" # a watcher that is down for longer finds everything by listing

  expiration_policy {
    ttl = "" # never: nobody images over Christmas
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "300s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 20
  }
}

locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic_iam_member" "dead_letter_receives" {
  topic  = google_pubsub_topic.dead_letter.id
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letter_acknowledges" {
  subscription = google_pubsub_subscription.watch.id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
