//! Structured logs on standard output, as text or JSON.

use anyhow::{Result, bail};
use tracing_subscriber::EnvFilter;

/// Starts logging. The filter comes from `KLAMM_LOG`, `info` without it; openraft's own messages need `warn` to show.
///
/// # Errors
/// An unknown format, or a filter that does not parse.
pub fn init(format: Option<&str>) -> Result<()> {
    let text = std::env::var("KLAMM_LOG").unwrap_or_else(|_| "info,openraft=error".to_owned());
    let filter = EnvFilter::try_new(&text)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match format {
        None | Some("text") => builder.with_ansi(false).init(),
        Some("json") => builder.json().flatten_event(true).init(),
        Some(other) => bail!("invalid value {other:?} for configuration klamm.log.format: text or json"),
    }
    Ok(())
}
