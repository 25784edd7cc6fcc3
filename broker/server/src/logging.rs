//! Structured logs on standard output, as text or JSON.

mod log4j;

use anyhow::{Context, Result, bail};
use tracing_subscriber::EnvFilter;

use crate::config::environment::{LOG4J_LOGGERS, LOG4J_ROOT_LEVEL};

/// Without a word from anybody: openraft's own messages are for those who work on it.
const DEFAULT: &str = "info,openraft=error";

/// Starts logging. The filter comes from `KLAMM_LOG`, else from the variables by which Kafka's images set the levels of
/// Kafka's loggers.
///
/// # Errors
/// An unknown format, or a filter that does not parse.
pub fn init(format: Option<&str>) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let filter = match variable("KLAMM_LOG") {
        Some(text) => EnvFilter::try_new(&text).with_context(|| format!("KLAMM_LOG={text}"))?,
        None => EnvFilter::try_new(log4j::filter(
            DEFAULT,
            variable(LOG4J_ROOT_LEVEL).as_deref(),
            variable(LOG4J_LOGGERS).as_deref(),
        ))?,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match format {
        None | Some("text") => builder.with_ansi(false).init(),
        Some("json") => builder.json().flatten_event(true).init(),
        Some(other) => bail!("invalid value {other:?} for configuration klamm.log.format: text or json"),
    }
    Ok(())
}
