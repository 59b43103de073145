# The environment of deployments/gcp.yaml on Google Cloud. All names, sizes and places are read from that file; nothing
# else has to be set. The state belongs into a bucket of its own: terraform init -backend-config=bucket=...
terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.48"
    }
  }
  backend "gcs" {
    prefix = "platestream"
  }
}

locals {
  declared  = yamldecode(file("${path.module}/../gcp.yaml"))
  google    = local.declared.google
  machines  = local.declared.kubernetes
  namespace = local.declared.cluster.namespace
  workers   = local.declared.cluster.workers
  store     = local.google.bucket.folder == "" ? "" : "${local.google.bucket.folder}/"
}

provider "google" {
  project = local.google.project
  region  = local.google.region
}

data "google_project" "this" {}

resource "google_project_service" "used" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "container.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "pubsub.googleapis.com",
    "storage.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false
}
