//! Renders the Kubernetes objects of a cluster. Pure: no client, no clock.
