//! Names of namespaced objects, and which namespaces are watched.

use std::fmt;

use kube::{Resource, ResourceExt};

/// A namespaced name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    pub fn of(object: &impl Resource) -> Self {
        Self::new(object.meta().namespace.clone().unwrap_or_default(), object.name_any())
    }

    /// Another name in the same namespace.
    pub fn beside(&self, name: impl Into<String>) -> Self {
        Self::new(self.namespace.clone(), name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The namespaces that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace.
    All,
    /// These, sorted.
    Only(Vec<String>),
}

impl Scope {
    /// What was asked for; the operator's own namespace where nothing was.
    pub fn new(asked: &[String], own: &str) -> Self {
        let mut names: Vec<String> =
            asked.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if names.iter().any(|name| name == "*") {
            return Self::All;
        }
        if names.is_empty() {
            names.push(own.to_owned());
        }
        names.sort();
        names.dedup();
        Self::Only(names)
    }

    /// One entry for each watch that is needed; `None` is a watch of everything.
    pub fn parts(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Only(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all namespaces"),
            Self::Only(names) => write!(f, "namespace {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(asked: &[&str]) -> Scope {
        Scope::new(&asked.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), "own")
    }

    #[test]
    fn a_star_is_everything_and_nothing_is_the_own_namespace() {
        assert_eq!(scope(&["a", "*"]), Scope::All);
        assert_eq!(scope(&[]), Scope::Only(vec!["own".into()]));
        assert_eq!(scope(&["b", "a", " b"]), Scope::Only(vec!["a".into(), "b".into()]));
    }
}
