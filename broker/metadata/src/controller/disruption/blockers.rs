//! What stands against stopping a node: everything that works only with it.
//!
//! A node that does nothing may always go: fenced, in no ISR, no voter that counts. What would be unavailable without any
//! single one of its nodes, such as a partition with one replica, stands against nothing, or it could never be restarted.
//! Replicas that a reassignment adds change nothing of that before it is complete: it may take hours, or never end.

use klamm_wire::Str;
use klamm_wire::messages::begin_disruption_response::DisruptionBlocker;

use super::Disruptions;
use crate::controller::draft::Draft;
use crate::controller::{QuorumHealth, VoterState};
use crate::{Partition, Topic};

/// The reasons, the ones that concern most first.
pub(super) fn against(
    draft: &Draft<'_>,
    disruptions: &Disruptions,
    node: i32,
    quorum: &QuorumHealth,
    now_ms: i64,
) -> Vec<DisruptionBlocker> {
    let mut found = others(draft, disruptions, now_ms);
    found.extend(voters(node, quorum));
    for topic in draft.image().topics() {
        partitions(draft, topic, node, &mut found);
    }
    found
}

fn blocker(kind: &'static str, message: String) -> DisruptionBlocker {
    DisruptionBlocker { kind: Str::from(kind), message: Str::from(message), ..DisruptionBlocker::default() }
}

fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn others(draft: &Draft<'_>, disruptions: &Disruptions, now_ms: i64) -> Vec<DisruptionBlocker> {
    let granted = draft.image().disruptions().map(|granted| {
        let seconds = disruptions.left_ms(granted, now_ms) / 1_000;
        let (node, holder, reason) = (granted.node, &granted.holder, &granted.reason);
        let message = format!(
            "Node {node} may be stopped by '{holder}' ({reason}) for {seconds} s more, or until that disruption is ended."
        );
        blocker("OtherDisruption", message)
    });
    granted.collect()
}

fn voters(node: i32, quorum: &QuorumHealth) -> Option<DisruptionBlocker> {
    let silent = [None, Some(&VoterState::Silent)].contains(&quorum.0.get(&node));
    let (have, need) = (quorum.caught_up_without(node), quorum.needed_without_one());
    if silent || have >= need {
        return None;
    }
    let missing = quorum.0.keys().filter(|id| **id != node && !quorum.is_caught_up(**id));
    let missing: Vec<String> = missing.map(i32::to_string).collect();
    let message = format!(
        "Without node {node}, {have} of {} controllers would be caught up and {need} are needed; not caught up: {}.",
        quorum.0.len(),
        missing.join(", ")
    );
    Some(DisruptionBlocker { have: count(have), need: count(need), ..blocker("Quorum", message) })
}

fn partitions(draft: &Draft<'_>, topic: &Topic, node: i32, found: &mut Vec<DisruptionBlocker>) {
    let mut hosted =
        topic.partitions.iter().filter(|(_, partition)| partition.replicas.contains(&node)).peekable();
    if hosted.peek().is_none() {
        return;
    }
    let need = draft.rules(&topic.name).min_isr;
    let fenced = draft.image().broker(node).is_none_or(|broker| broker.fenced);
    for (index, partition) in hosted.filter(|(_, partition)| partition.replication_factor() > need) {
        let is_member = partition.isr.contains(&node);
        let have = remaining(draft, partition, node);
        let at = format!("{}-{index}", topic.name);
        let (kind, message) = if is_member && have < need {
            let message =
                format!("{at} would have {have} in-sync replicas, and min.insync.replicas is {need}.");
            ("MinIsr", message)
        } else if !is_member && !fenced && have <= need {
            let message = format!(
                "{at} has {have} in-sync replicas, min.insync.replicas is {need}, and node {node} is catching up with it."
            );
            ("CatchingUp", message)
        } else {
            continue;
        };
        found.push(DisruptionBlocker {
            topic: Some(Str::copy_from(&topic.name)),
            partition: *index,
            have: count(have),
            need: count(need),
            ..blocker(kind, message)
        });
    }
}

/// Members of the ISR besides the node that will stay: not those that are stopping already.
fn remaining(draft: &Draft<'_>, partition: &Partition, node: i32) -> usize {
    let stays = |id: &i32| draft.image().broker(*id).is_some_and(|broker| broker.is_active());
    partition.isr.iter().filter(|id| **id != node && stays(id)).count()
}
