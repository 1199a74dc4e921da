//! The file of a store before a database is in it: its folder, who may read it, and whether its file system will do.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::StoreError;
use crate::text::one_line;

/// A file that is there, for its owner alone.
pub(super) struct Prepared {
    pub(super) is_new: bool,
}

/// Makes the folder (0700) and the file (0600) where they are missing, and refuses a place that will not do.
pub(super) fn prepare(path: &Path) -> Result<Prepared, StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "a file is in its place".to_owned(),
            _ => error.to_string(),
        };
        format!(
            "the folder `{}` of the store cannot be made: {why}; name another place for the store",
            shown(folder)
        )
    })?;
    if let Some(kind) = network_file_system(folder) {
        return Err(format!(
            "the store `{}` would be on a network file system ({kind}), where processes cannot share it safely; name a place on \
             a local disk",
            shown(path)
        ));
    }
    let refuse = |error: std::io::Error| {
        let why = match error.kind() {
            ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => error.to_string(),
        };
        format!("the store `{}` cannot be opened: {why}; name another place for the store", shown(path))
    };
    let is_new = make_file(path).map_err(refuse)?;
    keep_private(path).map_err(refuse)?;
    Ok(Prepared { is_new })
}

/// Makes an empty file unless there is one; whether it did.
///
/// One that is there is not opened: to close it again would end every lock that this process has on it, and with them the
/// database's own.
fn make_file(path: &Path) -> std::io::Result<bool> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // Nobody of this process finds the file there before it is closed.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match private(OpenOptions::new().write(true).create_new(true)).open(path).map(drop) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match fs::metadata(path)?.is_dir() {
            true => Err(ErrorKind::IsADirectory.into()),
            false => Ok(false),
        },
        Err(error) => Err(error),
    }
}

/// Moves a file that cannot be read out of the way, with what belongs to it. It is never deleted: it may be all that is
/// known of payments.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let aside = beside(path, &format!(".corrupt-{seconds}"));
    for end in ["-wal", "-shm", ""] {
        let from = beside(path, end);
        match fs::rename(&from, beside(&aside, end)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(format!(
                    "the store `{}` cannot be read, and cannot be set aside: {error}; move it elsewhere by hand",
                    shown(path)
                ));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Lets one process at a time look whether a store is to be set aside. The lock ends with the guard.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let name = beside(path, ".lock");
    let locked = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(&name)
        .and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| format!("the lock `{}` of the store cannot be taken: {error}", shown(&name)))
}

/// A path for a person.
pub(super) fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy(), 200)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn keep_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The name of the network file system that a folder is on; `None` where it is on none, or nothing tells.
#[cfg(target_os = "linux")]
fn network_file_system(folder: &Path) -> Option<&'static str> {
    // Its width differs from platform to platform; the numbers have 32 bits.
    network_name(rustix::fs::statfs(folder).ok()?.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_: &Path) -> Option<&'static str> {
    None
}

/// By the numbers of `statfs(2)`.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux tells by number"))]
fn network_name(kind: u32) -> Option<&'static str> {
    match kind {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x7375_7245 => Some("Coda"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x0116_1970 | 0x7461_636f => Some("a cluster file system"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_told_from_local_ones() {
        for (kind, name) in [(0x6969, Some("NFS")), (0xff53_4d42, Some("SMB")), (0x0102_1997, Some("9P"))] {
            assert_eq!(network_name(kind), name);
        }
        // ext4, tmpfs, XFS, Btrfs, overlay.
        for kind in [0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e, 0x794c_7630] {
            assert_eq!(network_name(kind), None);
        }
    }
}
