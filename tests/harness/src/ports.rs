//! Ports that stay ours while a cluster is down as well as up.

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which the kernel takes the source ports of outgoing connections.
const RANGE: Range<u16> = 20_000..32_000;

/// Reserved TCP ports of 127.0.0.1.
///
/// The reservation is a bound UDP socket of the same number: other tests that reserve ports see it, in this process and
/// in others, while the TCP port stays free for the broker that gets it, also over a restart.
#[derive(Debug)]
pub struct Ports {
    held: Vec<(u16, UdpSocket)>,
}

impl Ports {
    /// Reserves `count` ports.
    ///
    /// # Errors
    /// Not enough are free.
    pub fn reserve(count: usize) -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let width = RANGE.end - RANGE.start;
        let spread = u16::try_from(std::process::id().wrapping_mul(101) % u32::from(width))?;
        let mut held = Vec::new();
        for _ in RANGE {
            if held.len() == count {
                return Ok(Self { held });
            }
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % width;
            let port = RANGE.start + (spread + step) % width;
            if let Ok(socket) = UdpSocket::bind(("127.0.0.1", port))
                && TcpListener::bind(("127.0.0.1", port)).is_ok()
            {
                held.push((port, socket));
            }
        }
        bail!("fewer than {count} free ports in {RANGE:?}")
    }

    /// The port at `index` in the order of reservation.
    pub fn get(&self, index: usize) -> Option<u16> {
        self.held.get(index).map(|(port, _)| *port)
    }

    /// All of them.
    pub fn all(&self) -> Vec<u16> {
        self.held.iter().map(|(port, _)| *port).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_distinct_and_free_for_tcp() {
        let first = Ports::reserve(20).unwrap();
        let second = Ports::reserve(20).unwrap();
        let mut all = [first.all(), second.all()].concat();
        for port in &all {
            TcpListener::bind(("127.0.0.1", *port)).unwrap();
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40);
    }
}
