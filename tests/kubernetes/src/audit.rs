//! What the operator asked of the API server, as the testbed's audit log tells it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

/// The environment variable that names the log.
const AUDIT_LOG: &str = "KLAMM_E2E_AUDIT_LOG";

/// The log of a testbed.
pub struct Audit(PathBuf);

impl Audit {
    /// None on a cluster that somebody else made.
    pub fn find() -> Option<Self> {
        std::env::var_os(AUDIT_LOG).map(|path| Self(path.into()))
    }

    /// How many lines there are.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn length(&self) -> Result<usize> {
        Ok(fs::read_to_string(&self.0)?.lines().count())
    }

    /// Requests after some lines, by verb, resource and the answer's code, those apart that keep the lease and watch.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn requests(&self, after: usize) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.0)?.lines().skip(after) {
            let event: Value = serde_json::from_str(line)?;
            let (verb, about) = (event["verb"].as_str().unwrap_or_default(), &event["objectRef"]);
            let resource =
                about["resource"].as_str().or_else(|| event["requestURI"].as_str()).unwrap_or_default();
            let subresource = about["subresource"].as_str().map(|s| format!("/{s}")).unwrap_or_default();
            if verb != "watch" && resource != "leases" {
                let status = &event["responseStatus"];
                let code = if goes_away(status) {
                    "its namespace goes away".into()
                } else {
                    status["code"].to_string()
                };
                *counts.entry(format!("{verb} {resource}{subresource}: {code}")).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

/// Whether something was refused because its namespace is being deleted, which no permission changes.
fn goes_away(status: &Value) -> bool {
    let causes = status["details"]["causes"].as_array();
    causes.into_iter().flatten().any(|cause| cause["reason"] == "NamespaceTerminating")
}
