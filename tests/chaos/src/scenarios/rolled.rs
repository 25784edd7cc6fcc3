//! Every broker in turn gets SIGTERM, ends by itself, and is started again: no send fails, and clients hardly wait.

use std::time::Duration;

use anyhow::Result;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolled",
    fault: "rolling restart by SIGTERM: gap of the partitions that the broker led",
    bar: "0 failed sends, gap p99 ≤ 100 ms",
    limit: Some(Duration::from_millis(100)),
    slice: 3,
    whole: 51,
    alone: true,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let mut bed = Bed::start(run, run.spec(3).start()?, run.setting(Setting::default()))?;
    let order = bed.cluster.broker_ids();
    for id in order.into_iter().cycle().take(run.count) {
        let led = bed.led_by(id)?;
        let mark = bed.mark();
        let fault = Moment::now();
        bed.cluster.terminate(id)?;
        bed.gap(mark, fault, &led)?;
        bed.cluster.restart(id)?;
        bed.heal(run)?;
        run.injected_under(&led, bed.longest_gap_since(mark, fault, &led));
    }
    let mark = run.row.notes.len();
    bed.finish(run)?;
    let failed: Vec<String> = run.row.notes.split_off(mark);
    run.row.problems.extend(failed);
    Ok(())
}
