# Tables and views are made by `platestream warehouse`; they can be made again from the bucket at any time.
resource "google_bigquery_dataset" "results" {
  dataset_id                 = local.google.dataset.name
  location                   = local.google.dataset.location
  description                = "What Platestream published; rebuilt from gs://${local.google.bucket.name} when lost."
  delete_contents_on_destroy = false

  depends_on = [google_project_service.used]
}
