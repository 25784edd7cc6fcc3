//! Rules that simulations break on purpose, one at a time, to show that their properties would notice.
//!
//! A crate names its rules with [`mutations!`] in a module `mutation`, and asks `is_active` where it follows one of them. Only its
//! own tests, and builds with its feature `mutations`, can break any; in all others the question is answered at compile time.

/// Defines `Mutation`, with a variant for each rule and what breaking it means; `is_active`, whether a rule is broken on this
/// thread; and, where rules can be broken, `Mutation::ALL` and `with`, which breaks one while something runs.
#[macro_export]
macro_rules! mutations {
    ($($(#[$meaning:meta])+ $rule:ident,)+) => {
        /// A rule that can be broken in tests.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$meaning])+ $rule,)+
        }

        /// Whether the rule is broken at the moment.
        #[cfg(not(any(test, feature = "mutations")))]
        pub(crate) const fn is_active(_: Mutation) -> bool {
            false
        }

        #[cfg(any(test, feature = "mutations"))]
        pub(crate) use seeded::is_active;
        #[cfg(any(test, feature = "mutations"))]
        pub use seeded::with;

        #[cfg(any(test, feature = "mutations"))]
        mod seeded {
            use std::cell::Cell;

            use super::Mutation;

            impl Mutation {
                /// Every rule.
                pub const ALL: &[Self] = &[$(Self::$rule),+];
            }

            thread_local! {
                static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
            }

            pub(crate) fn is_active(mutation: Mutation) -> bool {
                ACTIVE.get() == Some(mutation)
            }

            /// Runs `body` with the rule broken on this thread.
            pub fn with<T>(mutation: Option<Mutation>, body: impl FnOnce() -> T) -> T {
                ACTIVE.set(mutation);
                let result = body();
                ACTIVE.set(None);
                result
            }
        }
    };
}
