//! A forgetful disk as the kernel sees it: FUSE's requests, answered from the store.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::store::{File, Folder, Node, Refused, Store};

/// The kernel may remember names and sizes: nothing changes them but what goes through it.
const FOREVER: Duration = Duration::from_secs(3_600);
/// Unit of sizes.
const BLOCK: u32 = 4_096;
/// Blocks of a disk that never fills up by itself.
const BLOCKS: u64 = 64 << 18;

/// The disk behind a mount.
pub(super) struct Files(pub(super) Arc<Mutex<Store>>);

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Missing => Self::ENOENT,
            Refused::Exists => Self::EEXIST,
            Refused::NotEmpty => Self::ENOTEMPTY,
            Refused::Full => Self::ENOSPC,
            Refused::Broken => Self::EIO,
        }
    }
}

impl Files {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(found: Result<FileAttr, Refused>, reply: ReplyEntry) {
        match found {
            Ok(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn empty(done: Result<(), Refused>, reply: ReplyEmpty) {
        match done {
            Ok(()) => reply.ok(),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn create(&self, parent: INodeNo, name: &OsStr, node: Node, reply: ReplyEntry) {
        let mut store = self.store();
        let created = store.create(parent.0, name, node);
        Self::entry(created.and_then(|number| attributes(&store, number)), reply);
    }

    /// A sync takes its time without holding anybody else up.
    fn wait_for_sync(&self) {
        let time = self.store().sync_takes;
        std::thread::sleep(time);
    }
}

fn attributes(store: &Store, number: u64) -> Result<FileAttr, Refused> {
    let node = store.node(number)?;
    let (kind, perm) = match node {
        Node::File(_) => (FileType::RegularFile, 0o644),
        Node::Folder(_) => (FileType::Directory, 0o755),
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size: node.len(),
        blocks: node.len().div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: SystemTime::now(),
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let store = self.store();
        Self::entry(store.lookup(parent.0, name).and_then(|number| attributes(&store, number)), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.store(), ino.0) {
            Ok(attributes) => reply.attr(&FOREVER, &attributes),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut store = self.store();
        let resized = size.map_or(Ok(()), |size| store.resize(ino.0, size));
        match resized.and_then(|()| attributes(&store, ino.0)) {
            Ok(attributes) => reply.attr(&FOREVER, &attributes),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        self.create(parent, name, Node::File(File::default()), reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        self.create(parent, name, Node::Folder(Folder::default()), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        Self::empty(self.store().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        Self::empty(self.store().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        Self::empty(self.store().rename((parent.0, name), (newparent.0, newname)), reply);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.store().read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.store().write(ino.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refused) => reply.error(refused.into()),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.wait_for_sync();
        Self::empty(self.store().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.wait_for_sync();
        Self::empty(self.store().sync_folder(ino.0), reply);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let store = self.store();
        let entries = match store.list(ino.0) {
            Ok(entries) => entries,
            Err(refused) => return reply.error(refused.into()),
        };
        // An offset is a place in the list; removing names while listing skips some, as POSIX allows.
        for (place, (number, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let kind = match store.node(number) {
                Ok(Node::Folder(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(number), place, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 0, 0, BLOCK, 255, BLOCK);
    }
}
