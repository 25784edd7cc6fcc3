//! Ports that no other test of this machine uses, held until they are dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// Below the range from which Linux takes the ports of outgoing connections, so that a restarted broker finds its own free.
const FIRST: u16 = 20_000;
/// Ports of one lease.
const LEASE: u16 = 24;
/// Leases there are.
const LEASES: u16 = 500;

/// A lease of consecutive ports. A locked file stands for it, so that tests of other processes go elsewhere.
#[derive(Debug)]
pub struct Ports {
    next: u16,
    end: u16,
    _lock: File,
}

impl Ports {
    /// Takes `count` ports of the first free lease, looking from a place that differs by process.
    ///
    /// # Errors
    /// No lease is free, or none has as many ports.
    pub fn reserve(count: u16) -> Result<Self> {
        ensure!(count <= LEASE, "a lease has {LEASE} ports, not {count}");
        let folder = std::env::temp_dir().join("klamm-harness-ports");
        std::fs::create_dir_all(&folder)?;
        let start = u16::try_from(std::process::id() % u32::from(LEASES)).unwrap_or(0);
        for step in 0..LEASES {
            let index = (start + step) % LEASES;
            if let Some(ports) = Self::try_reserve(folder.join(index.to_string()), index, count)? {
                return Ok(ports);
            }
        }
        bail!("all {LEASES} leases of ports are taken; see {}", folder.display())
    }

    fn try_reserve(path: PathBuf, index: u16, count: u16) -> Result<Option<Self>> {
        let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let next = FIRST + index * LEASE;
        let end = next + count;
        let free = (next..end).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        Ok(free.then_some(Self { next, end, _lock: lock }))
    }

    /// A port that was not given yet.
    ///
    /// # Errors
    /// All are given.
    pub fn take(&mut self) -> Result<u16> {
        ensure!(self.next < self.end, "all ports are given");
        self.next += 1;
        Ok(self.next - 1)
    }

    /// The ports that were not given yet.
    pub fn all(&self) -> Vec<u16> {
        (self.next..self.end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_share_no_port() {
        let (mut a, b) = (Ports::reserve(5).unwrap(), Ports::reserve(LEASE).unwrap());
        let first: Vec<u16> = (0..5).map(|_| a.take().unwrap()).collect();
        assert!(b.all().iter().all(|port| !first.contains(port)));
        assert!(a.take().is_err() && a.all().is_empty());
    }
}
