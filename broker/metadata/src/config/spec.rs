//! What is known about one configuration key, and the check of a value against it.

/// The type of a value; [`ConfigKind::code`] is `ConfigType` of DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A finite decimal number.
    Double,
    /// Words separated by commas.
    List,
    /// A Java class name, taken for compatibility.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigKind {
    /// The number that DescribeConfigs carries.
    pub fn code(self) -> i8 {
        match self {
            ConfigKind::Boolean => 1,
            ConfigKind::String => 2,
            ConfigKind::Int => 3,
            ConfigKind::Short => 4,
            ConfigKind::Long => 5,
            ConfigKind::Double => 6,
            ConfigKind::List => 7,
            ConfigKind::Class => 8,
            ConfigKind::Password => 9,
        }
    }
}

/// What a value must satisfy beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Nothing.
    Any,
    /// A number not below this one.
    AtLeast(i64),
    /// A number within these bounds, both included.
    Between(i64, i64),
    /// A decimal number within these bounds, both included.
    Within(f64, f64),
    /// One of these words; for a list, every element is one of them.
    OneOf(&'static [&'static str]),
    /// Like `OneOf`, but the list must not be empty.
    SomeOf(&'static [&'static str]),
    /// `-1`, or within these bounds.
    UnsetOr(i64, i64),
    /// A list of `partition:broker`, or `*`.
    ThrottledReplicas,
    /// Only this value; the feature behind the key does not exist.
    Only(&'static str),
}

/// How a key may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only in the properties file, with a restart.
    ReadOnly,
    /// At run time, one broker at a time.
    PerBroker,
    /// At run time, for one broker or for all.
    ClusterWide,
}

/// One configuration key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigSpec {
    /// Kafka's name of the key.
    pub name: &'static str,
    /// Type of the value.
    pub kind: ConfigKind,
    /// Value when nobody sets one; `None` is no value.
    pub default: Option<&'static str>,
    /// What a value must satisfy.
    pub check: Check,
    /// How it may be changed.
    pub update: Update,
    /// What it does.
    pub documentation: &'static str,
}

/// Unit of a broker key relative to the topic key that it is a synonym of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The same.
    Same,
    /// Minutes, the topic key has milliseconds.
    Minutes,
    /// Hours, the topic key has milliseconds.
    Hours,
}

impl Unit {
    /// A value of the broker key as a value of the topic key; `None` when it is not a number. Negative stays.
    pub fn convert(self, value: &str) -> Option<String> {
        let factor: i64 = match self {
            Unit::Same => return Some(value.to_owned()),
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
        };
        let number: i64 = value.trim().parse().ok()?;
        Some(if number < 0 { number.to_string() } else { number.saturating_mul(factor).to_string() })
    }
}

/// A broker key that gives a topic key its value when the topic has no override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSynonym {
    /// The broker key.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
}

/// A topic key with its broker synonyms, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicConfigSpec {
    /// The key itself; its default is never `None`.
    pub spec: ConfigSpec,
    /// Broker keys that it falls back to.
    pub synonyms: &'static [TopicSynonym],
}

/// Why a value or a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No topic key has this name.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicConfig(String),
    /// No broker key has this name.
    #[error("Unknown broker config name: {0}")]
    UnknownBrokerConfig(String),
    /// The value does not fit.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The key.
        name: String,
        /// The value; `[hidden]` for passwords.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigSpec {
    /// Whether the value must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigKind::Password
    }

    /// Checks a value against type and bounds.
    pub fn validate(&self, value: &str) -> Result<(), ConfigError> {
        check(self.kind, self.check, value.trim()).map_err(|reason| ConfigError::Invalid {
            name: self.name.to_owned(),
            value: if self.is_sensitive() { "[hidden]".to_owned() } else { value.to_owned() },
            reason,
        })
    }
}

fn check(kind: ConfigKind, check: Check, value: &str) -> Result<(), String> {
    match kind {
        ConfigKind::Boolean => boolean(value)?,
        ConfigKind::Int => integer(value, "INT", i64::from(i32::MIN), i64::from(i32::MAX), check)?,
        ConfigKind::Short => integer(value, "SHORT", i64::from(i16::MIN), i64::from(i16::MAX), check)?,
        ConfigKind::Long => integer(value, "LONG", i64::MIN, i64::MAX, check)?,
        ConfigKind::Double => decimal(value, check)?,
        ConfigKind::List => return list(value, check),
        ConfigKind::String | ConfigKind::Class | ConfigKind::Password => {
            if let Check::OneOf(words) = check {
                one_of(value, words)?;
            }
        }
    }
    match check {
        Check::Only(only) if value != only => Err(format!("Only {only} is supported")),
        _ => Ok(()),
    }
}

fn boolean(value: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        Ok(())
    } else {
        Err("Expected value to be either true or false".to_owned())
    }
}

fn integer(value: &str, kind: &str, min: i64, max: i64, check: Check) -> Result<(), String> {
    let number = value.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
    let number = number.ok_or_else(|| format!("Not a number of type {kind}"))?;
    let (least, most) = match check {
        Check::AtLeast(least) => (least, i64::MAX),
        Check::Between(least, most) => (least, most),
        Check::UnsetOr(least, most) if number != -1 => (least, most),
        _ => return Ok(()),
    };
    if number < least {
        Err(format!("Value must be at least {least}"))
    } else if number > most {
        Err(format!("Value must be no more than {most}"))
    } else {
        Ok(())
    }
}

fn decimal(value: &str, check: Check) -> Result<(), String> {
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or("Not a number of type DOUBLE")?;
    match check {
        Check::Within(least, most) if !(least..=most).contains(&number) => {
            Err(format!("Value must be between {least} and {most}"))
        }
        _ => Ok(()),
    }
}

fn list(value: &str, check: Check) -> Result<(), String> {
    let elements: Vec<&str> = list_elements(value).collect();
    match check {
        Check::SomeOf(_) if elements.is_empty() => Err("At least one element is needed".to_owned()),
        Check::OneOf(words) | Check::SomeOf(words) => {
            elements.iter().try_for_each(|word| one_of(word, words))
        }
        Check::ThrottledReplicas => throttled_replicas(value, &elements),
        _ => Ok(()),
    }
}

/// The elements of a list value.
pub fn list_elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

fn one_of(value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) { Ok(()) } else { Err(format!("String must be one of: {}", words.join(", "))) }
}

fn throttled_replicas(value: &str, elements: &[&str]) -> Result<(), String> {
    let is_pair = |element: &&str| {
        element.split_once(':').is_some_and(|(partition, broker)| {
            partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
        })
    };
    if value == "*" || elements.iter().all(is_pair) {
        Ok(())
    } else {
        Err("Must be the wildcard '*' or a list of [partitionId]:[brokerId]".to_owned())
    }
}

/// A row of a broker table.
pub(super) const fn key(
    name: &'static str,
    kind: ConfigKind,
    default: Option<&'static str>,
    check: Check,
    update: Update,
    documentation: &'static str,
) -> ConfigSpec {
    ConfigSpec { name, kind, default, check, update, documentation }
}
