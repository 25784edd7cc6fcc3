//! The scenarios, in the order in which they run.

mod admission;
mod external;
mod healing;
mod install;
mod machines;
mod quickstart;
mod recreate;
mod roll;
mod scale;
mod topics;
mod uninstall;
mod upgrade;

use anyhow::Result;

use crate::bed::Bed;

/// A behaviour and what shows it. The answer is a line worth printing, or nothing.
pub struct Scenario {
    /// The behaviour.
    pub name: &'static str,
    /// Shows it.
    pub run: fn(&Bed) -> Result<String>,
    /// Whether it takes a cluster of our own making: to cut nodes off, to kill processes, to read the audit log.
    pub needs_testbed: bool,
}

const fn scenario(name: &'static str, run: fn(&Bed) -> Result<String>) -> Scenario {
    Scenario { name, run, needs_testbed: false }
}

const fn on_testbed(name: &'static str, run: fn(&Bed) -> Result<String>) -> Scenario {
    Scenario { name, run, needs_testbed: true }
}

/// All of them. Those from `deleted_pod` to `fourth_broker` share a cluster of three brokers and its traffic.
pub const ALL: &[Scenario] = &[
    scenario("chart_test_passes", install::chart_test_passes),
    scenario("chart_is_tried_on_the_server", install::chart_is_tried_on_the_server),
    scenario("kubectl_explains_the_resources", install::kubectl_explains_the_resources),
    scenario("quickstart_becomes_ready_and_serves_a_pod", quickstart::becomes_ready_and_serves_a_pod),
    scenario("bad_resources_are_refused_with_the_way_out", admission::bad_resources_are_refused),
    scenario("bad_changes_are_refused_with_the_way_out", admission::bad_changes_are_refused),
    scenario("clusters_that_cannot_be_served_say_so", admission::unservable_clusters_say_so),
    scenario("missing_secret_is_named", admission::missing_secret_is_named),
    scenario("topic_is_created_grows_and_never_shrinks", topics::created_grows_and_never_shrinks),
    scenario("topic_config_is_applied_and_taken_back", topics::config_is_applied_and_taken_back),
    scenario("unknown_topic_config_is_named", topics::unknown_config_is_named),
    scenario("topic_without_a_cluster_says_so", topics::missing_cluster_is_named),
    scenario("existing_topic_is_adopted_and_others_left_alone", topics::existing_topic_is_adopted),
    scenario("two_resources_for_one_topic_both_say_so", topics::conflict_is_named_in_both),
    scenario("topic_is_retained_unless_deletion_was_asked_for", topics::deletion_policy_decides),
    scenario("thousand_topics_take_few_calls", topics::thousand_take_few_calls),
    scenario("node_ports_are_discovered_and_serve", external::node_ports_serve),
    scenario("deleted_pod_comes_back", healing::deleted_pod),
    scenario("deleted_services_come_back", healing::deleted_services),
    scenario("deleted_stateful_set_comes_back", healing::deleted_stateful_set),
    scenario("changed_config_rolls_one_broker_at_a_time", roll::changed_config),
    scenario("changed_image_rolls_one_broker_at_a_time", roll::changed_image),
    scenario("changed_resources_roll_one_broker_at_a_time", roll::changed_resources),
    scenario("operator_killed_at_any_moment_goes_on", roll::operator_killed_at_any_moment),
    on_testbed("killed_broker_process_comes_back", machines::killed_process),
    on_testbed("vanished_node_is_survived_and_returns", machines::vanished_node),
    on_testbed("roll_waits_and_names_what_blocks_it", machines::roll_waits_and_names_blockers),
    scenario("chart_upgrade_leaves_brokers_alone", upgrade::leaves_brokers_alone),
    scenario("fourth_broker_takes_part_and_stays", scale::fourth_broker_takes_part_and_stays),
    scenario("nothing_acknowledged_was_lost", healing::nothing_acknowledged_was_lost),
    scenario("load_balancer_addresses_are_discovered", external::load_balancers_serve),
    scenario("volumes_grow_in_place", recreate::volumes_grow_in_place),
    scenario("recreated_cluster_finds_its_data", recreate::finds_its_data),
    scenario("claims_go_where_that_was_asked_for", recreate::claims_go_where_asked),
    on_testbed("chart_grants_all_that_the_operator_asks_for", install::chart_grants_all_that_is_asked),
    scenario("uninstall_leaves_nothing_but_claims", uninstall::leaves_nothing_but_claims),
];
