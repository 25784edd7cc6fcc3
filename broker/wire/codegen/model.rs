//! A message table as data.

use std::collections::BTreeMap;

/// An inclusive range of versions; an open one ends at `i16::MAX`, an empty one has `min > max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const NONE: Self = Self { min: 0, max: -1 };

    pub fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    pub fn intersect(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The smallest range that covers both.
    pub fn hull(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// A Rust condition on `v` that holds in these versions, given that `v` is in `within`; `None` if always true.
    pub fn condition(self, within: Self) -> Option<String> {
        let low = self.min > within.min;
        let high = self.max < within.max;
        match (low, high) {
            _ if self.intersect(within).is_empty() => Some("false".into()),
            (false, false) => None,
            (true, false) => Some(format!("v >= {}", self.min)),
            (false, true) => Some(format!("v <= {}", self.max)),
            (true, true) if self.min == self.max => Some(format!("v == {}", self.min)),
            (true, true) => Some(format!("({}..={}).contains(&v)", self.min, self.max)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Request,
    Response,
    /// The key of a record in `__consumer_offsets`.
    CoordinatorKey,
    /// The value of a record in `__consumer_offsets`.
    CoordinatorValue,
    /// A record of the metadata log.
    MetadataRecord,
    /// Data carried as bytes inside other messages.
    Data,
}

pub struct Message {
    pub kind: Kind,
    /// The API key or the record type.
    pub number: Option<i16>,
    pub name: String,
    pub versions: Versions,
    /// The first flexible version.
    pub flexible: Option<i16>,
    pub fields: Vec<Field>,
    /// Nested and shared structs by name.
    pub structs: BTreeMap<String, Vec<Field>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    /// The struct that this type holds, directly or as an element.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.struct_name(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    /// Versions that have the field, tagged or not.
    pub versions: Versions,
    pub tag: Option<u32>,
    pub nullable: Versions,
    pub default: Option<String>,
    /// A value is dropped silently in versions that lack the field.
    pub ignorable: bool,
    /// Null is written as empty in versions that lack null.
    pub null_as_empty: bool,
}

impl Field {
    pub fn is_nullable(&self) -> bool {
        !self.nullable.intersect(self.versions).is_empty()
    }
}

impl Message {
    /// The message itself and each of its structs, with the versions in which it can occur.
    pub fn all_structs(&self) -> Vec<(&str, &[Field], Versions)> {
        let mut reach: BTreeMap<&str, Versions> = BTreeMap::new();
        self.reach(&self.fields, self.versions, &mut reach);
        let mut all = vec![(self.name.as_str(), self.fields.as_slice(), self.versions)];
        for (name, fields) in &self.structs {
            let versions = reach.get(name.as_str()).copied().unwrap_or(Versions::NONE);
            if !versions.is_empty() {
                all.push((name, fields, versions));
            }
        }
        all
    }

    fn reach<'a>(&'a self, fields: &'a [Field], within: Versions, reach: &mut BTreeMap<&'a str, Versions>) {
        for field in fields {
            let Some(name) = field.ty.struct_name() else { continue };
            let versions = field.versions.intersect(within);
            let known = reach.entry(name).or_insert(Versions::NONE);
            *known = known.hull(versions);
            if let Some(nested) = self.structs.get(name) {
                self.reach(nested, versions, reach);
            }
        }
    }

    /// Whether there are arrays of this struct.
    pub fn is_array_element(&self, name: &str) -> bool {
        let fields = self.structs.values().flatten().chain(&self.fields);
        fields.map(|f| &f.ty).any(|ty| matches!(ty, Type::Array(_)) && ty.struct_name() == Some(name))
    }

    /// The versions that are flexible.
    pub fn flexible_versions(&self) -> Versions {
        self.flexible.map_or(Versions::NONE, |min| Versions { min, max: i16::MAX })
    }
}
