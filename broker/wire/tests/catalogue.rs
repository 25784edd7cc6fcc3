//! The catalogue says of every API what its message table says.

#[macro_use]
#[allow(dead_code, clippy::all)]
mod samples;

use std::collections::BTreeMap;

use klamm_wire::catalogue::{self, HELD_BACK};
use klamm_wire::{Message, Request};

#[derive(Debug, PartialEq)]
struct Table {
    name: &'static str,
    min: i16,
    max: i16,
    flexible: Option<i16>,
}

/// Request and response names by key, with what the tables say of them.
fn tables() -> BTreeMap<i16, Vec<Table>> {
    let mut tables: BTreeMap<i16, Vec<Table>> = BTreeMap::new();
    fn table<M: Message>() -> Table {
        let name = M::NAME.trim_end_matches("Request").trim_end_matches("Response");
        Table { name, min: M::MIN, max: M::MAX, flexible: M::FLEXIBLE }
    }
    macro_rules! visit {
        ($module:ident, $name:ident) => {{
            type M = klamm_wire::messages::$module::$name;
            if M::API_KEY >= 0 {
                tables.entry(M::API_KEY).or_default().push(table::<M>());
            }
        }};
    }
    for_every_message!(visit);
    tables
}

#[test]
fn every_api_has_the_name_and_the_versions_of_its_messages() {
    let tables = tables();
    let keys: Vec<i16> = catalogue::all().iter().map(|api| api.key).collect();
    assert_eq!(keys, tables.keys().copied().collect::<Vec<_>>());
    for (key, messages) in &tables {
        let api = catalogue::api(*key).unwrap();
        assert_eq!(messages.len(), 2, "{} has a request and a response", api.name);
        for table in messages {
            let held_back = HELD_BACK.iter().find(|(held, ..)| held == key);
            let max = held_back.map_or(table.max, |(_, max, _)| *max);
            let expected = Table { max, ..*table };
            assert_eq!(
                Table { name: api.name, min: api.min, max: api.max, flexible: api.flexible },
                expected
            );
        }
    }
}

#[test]
fn an_api_is_held_back_only_below_what_its_messages_could() {
    for (key, max, reason) in HELD_BACK {
        assert!(tables()[key].iter().all(|table| table.max > *max), "{reason}");
    }
}

#[test]
fn a_request_and_its_response_share_their_versions() {
    fn check<R: Request>() {
        assert_eq!((R::MIN, R::MAX), (R::Response::MIN, R::Response::MAX), "{}", R::NAME);
        assert_eq!((R::API_KEY, R::FLEXIBLE), (R::Response::API_KEY, R::Response::FLEXIBLE), "{}", R::NAME);
    }
    check::<klamm_wire::messages::produce_request::ProduceRequest>();
    check::<klamm_wire::messages::fetch_request::FetchRequest>();
    check::<klamm_wire::messages::metadata_fetch_request::MetadataFetchRequest>();
    for (key, pair) in tables() {
        assert!(pair.windows(2).all(|two| two[0] == two[1]), "{key}");
    }
}
