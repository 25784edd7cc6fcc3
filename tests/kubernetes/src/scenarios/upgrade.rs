//! `helm upgrade` while brokers serve.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::kafka::uid;
use crate::operator;

/// The operator is replaced, the brokers are not.
pub fn leaves_brokers_alone(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let started = Instant::now();
    let brokers: Vec<_> = busy.cluster().pods()?.values().map(uid).collect();
    let before = uid(&operator::pod(&bed.kubernetes)?);
    operator::install(&bed.kubernetes, &["podAnnotations.klamm\\.dev/upgraded=yes"])?;
    ensure!(uid(&operator::pod(&bed.kubernetes)?) != before, "the operator was not replaced");
    busy.cluster().topic("after-upgrade", 3)?;
    busy.healed()?;
    let after: Vec<_> = busy.cluster().pods()?.values().map(uid).collect();
    ensure!(after == brokers, "brokers were restarted");
    Ok(busy.report(started))
}
