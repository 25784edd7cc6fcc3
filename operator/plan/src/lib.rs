//! Decides what has to be done so that a cluster becomes what its resources ask for.
//!
//! Everything here is a pure function over data: no client, no clock, no task. What a node runs on is the business
//! of the executor, which gathers [`observed::Observed`], calls [`plan()`], and carries out the actions in order.
//!
//! - [`resources`]: what goes in, and how it is named in messages.
//! - [`validate()`]: resources to [`desired::Validated`], or every problem at once; [`admit`]: the same, where one topic
//!   that is wrong must not concern the others; [`change`]: what an edit may not do.
//! - [`desired`], [`observed`]: what is wanted, what is there.
//! - [`plan()`]: the difference as a list of [`Action`]s, and what is held back with the reason; [`nodes`], [`roll`] and
//!   [`topics`] plan their parts.
//! - [`render`]: the properties of a node as data.
//! - [`status`]: conditions from all of these.

pub mod action;
pub mod change;
pub mod desired;
pub mod nodes;
pub mod observed;
pub mod plan;
pub mod quantity;
pub mod render;
pub mod resources;
pub mod roll;
pub mod status;
pub mod topics;
pub mod validate;

pub use action::Action;
pub use desired::Validated;
pub use observed::Observed;
pub use plan::{Held, Plan, plan};
pub use resources::{Problem, Resources, Subject};
pub use validate::{Admitted, admit, validate};
