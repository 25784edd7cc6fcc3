//! TUN devices: network interfaces whose other end is a file.
//!
//! The request that makes one is an `ioctl`, for which no safe wrapper exists: the one unsafe expression of the suite.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use rustix::ioctl::{Opcode, Setter, ioctl};

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: IP packets, with nothing before them.
const FLAGS: u16 = 0x1001;
/// `IFNAMSIZ`, the terminating zero included.
const NAME: usize = 16;

/// `struct ifreq` of `linux/if.h`, whose union is 24 bytes long.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME],
    flags: u16,
    rest: [u8; 22],
}

/// Makes an interface of this name in this program's namespace; what is read from the file is what it sends.
pub(super) fn open(name: &str) -> Result<File> {
    ensure!(name.len() < NAME, "{name} is too long for an interface");
    let file = File::options().read(true).write(true).open("/dev/net/tun").context("/dev/net/tun")?;
    let mut request = InterfaceRequest { name: [0; NAME], flags: FLAGS, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    attach(&file, request).with_context(|| format!("making the interface {name}"))?;
    Ok(file)
}

#[allow(unsafe_code)]
fn attach(file: &File, request: InterfaceRequest) -> rustix::io::Result<()> {
    // SAFETY: TUNSETIFF reads a `struct ifreq`, which is what is passed, and writes the name back into the copy that the
    // setter owns.
    unsafe { ioctl(file.as_fd(), Setter::<TUNSETIFF, InterfaceRequest>::new(request)) }
}
