//! Laying out a root file system in a folder, and packing it so that equal contents make equal bytes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::libraries;
use crate::shell;

/// The user in our images.
const USER: &str = "1000";

/// An empty folder.
///
/// # Errors
/// The old one cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// A root file system in the making; paths in it start with `/`.
pub struct Root {
    folder: PathBuf,
    owned: Vec<String>,
}

impl Root {
    /// Starts with nothing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder, owned: Vec::new() })
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let place = self.folder.join(path.trim_start_matches('/'));
        let missing: Vec<&Path> = place.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(folder)?;
            // Whatever the umask of whoever builds the image.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        Ok(place)
    }

    /// A program, stripped, with the libraries it needs at the paths where its loader looks for them.
    ///
    /// # Errors
    /// It is missing, or a library is.
    pub fn program(&self, binary: &Path, path: &str, mode: u32) -> Result<()> {
        let place = self.place(path)?;
        libraries::strip_into(binary, &place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
        for library in libraries::of(binary)? {
            self.file(&library, &library.display().to_string(), 0o755)?;
        }
        Ok(())
    }

    /// A file.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn file(&self, from: &Path, path: &str, mode: u32) -> Result<()> {
        let place = self.place(path)?;
        fs::copy(from, &place).with_context(|| format!("copying {}", from.display()))?;
        Ok(fs::set_permissions(&place, fs::Permissions::from_mode(mode))?)
    }

    /// Every file below a folder, those that are executable as such.
    ///
    /// # Errors
    /// One cannot be copied.
    pub fn tree(&self, from: &Path, path: &str) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
            let entry = entry?;
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.tree(&entry.path(), &path)?;
            } else {
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                self.file(&entry.path(), &path, if executable { 0o755 } else { 0o644 })?;
            }
        }
        Ok(())
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// Something is there already.
    pub fn link(&self, path: &str, target: &str) -> Result<()> {
        symlink(target, self.place(path)?).with_context(|| format!("linking {path} to {target}"))
    }

    /// A directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self, path: &str, mode: u32) -> Result<()> {
        let place = self.place(path)?;
        fs::create_dir_all(&place)?;
        Ok(fs::set_permissions(place, fs::Permissions::from_mode(mode))?)
    }

    /// Says that a path, with all below it, belongs to the image's user and not to root.
    pub fn owned_by_user(&mut self, path: &str) {
        self.owned.push(format!("./{}", path.trim_start_matches('/')));
    }

    /// Everything as one archive: owners as said, no times, sorted names.
    ///
    /// # Errors
    /// `tar` fails.
    pub fn pack(&self, archive: &Path) -> Result<()> {
        let _ = fs::remove_file(archive);
        let tar = |id: &str| {
            let mut command = Command::new("tar");
            command.args(["--format=gnu", "--sort=name", "--mtime=@0", "--numeric-owner", "--no-same-owner"]);
            command.arg(format!("--owner={id}")).arg(format!("--group={id}"));
            command.arg("--directory").arg(&self.folder).arg("--file").arg(archive);
            command
        };
        let excluded = self.owned.iter().map(|path| format!("--exclude={path}"));
        shell::output(tar("0").arg("--create").args(excluded).arg("."))?;
        if !self.owned.is_empty() {
            shell::output(tar(USER).arg("--append").args(&self.owned))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_modes_are_packed_and_equal_contents_make_equal_archives() {
        let folder = std::env::temp_dir().join(format!("klamm-stage-{}", std::process::id()));
        clear(&folder).unwrap();
        let mut root = Root::new(folder.join("root")).unwrap();
        root.directory("/tmp", 0o1777).unwrap();
        root.directory("/var/lib/data", 0o755).unwrap();
        fs::write(root.place("/usr/bin/x").unwrap(), "x").unwrap();
        root.file(&folder.join("root/usr/bin/x"), "/usr/bin/y", 0o4755).unwrap();
        root.link("/bin/x", "y").unwrap();
        root.owned_by_user("/var/lib/data");
        root.pack(&folder.join("one.tar")).unwrap();
        root.pack(&folder.join("two.tar")).unwrap();
        assert_eq!(fs::read(folder.join("one.tar")).unwrap(), fs::read(folder.join("two.tar")).unwrap());
        let mut list = Command::new("tar");
        let list =
            shell::output(list.arg("--list").arg("--verbose").arg("--file").arg(folder.join("one.tar")));
        let list = list.unwrap();
        for expected in ["drwxr-xr-x 0/0", "drwxrwxrwt 0/0", "-rwsr-xr-x 0/0", "drwxr-xr-x 1000/1000"] {
            assert!(list.contains(expected), "{expected} in {list}");
        }
        assert!(!list.contains("1000/1000               0 1970-01-01 00:00 ./var/lib/\n"), "{list}");
        fs::remove_dir_all(folder).unwrap();
    }
}
