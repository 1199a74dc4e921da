//! The file of a store before a database is in it: its folder, who may read it, and whether its file system will do.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
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
    let folder = folder_of(path);
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

/// Which file a path leads to. A file that is moved away keeps those who have it open, who then must not use it any more.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    path: PathBuf,
    id: Id,
}

impl Identity {
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: id_of(path)? })
    }

    /// Refuses a path that leads to another file by now, or to none.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match id_of(&self.path) {
            Ok(id) if id == self.id => Ok(()),
            _ => Err(format!(
                "the store `{}` was moved or replaced after it was opened, and is not used any more; start this program again",
                shown(&self.path)
            )),
        }
    }
}

/// Device and number.
#[cfg(unix)]
type Id = (u64, u64);

#[cfg(unix)]
fn id_of(path: &Path) -> std::io::Result<Id> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Elsewhere a file that is open cannot be moved away.
#[cfg(not(unix))]
type Id = u64;

#[cfg(not(unix))]
fn id_of(path: &Path) -> std::io::Result<Id> {
    fs::metadata(path).map(|_| 0)
}

/// Moves a file that cannot be read out of the way, with what belongs to it. It is never deleted: it may be all that is
/// known of payments.
///
/// A mark says so before anything is moved, and stays until [`unmark`]: whoever finds it must see to it that nothing is paid.
/// One that was left by a process that died on the way goes on where that one stopped.
pub(super) fn set_aside(path: &Path) -> Result<(), StoreError> {
    let refuse = |error| {
        format!(
            "the store `{}` cannot be read, and cannot be set aside: {error}; move it elsewhere by hand",
            shown(path)
        )
    };
    let end = end_of_aside(path, mark(path)?);
    let mut file = private(OpenOptions::new().create(true).truncate(true).write(true))
        .open(beside(path, MARK))
        .map_err(refuse)?;
    file.write_all(end.as_bytes()).and_then(|()| file.sync_all()).map_err(refuse)?;
    sync_folder(path);
    let aside = beside(path, &end);
    for part in PARTS {
        match fs::rename(beside(path, part), beside(&aside, part)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(refuse(error)),
            _ => {}
        }
    }
    sync_folder(path);
    Ok(())
}

/// The name of a mark, after the store's.
const MARK: &str = ".blocked";
/// The names of a database's files, after the store's; itself last.
const PARTS: [&str; 3] = ["-wal", "-shm", ""];

/// That a store was set aside, and no new one is blocked yet.
pub(super) struct Mark {
    /// The end of the name that it was given; `None` where the mark does not tell.
    end: Option<String>,
}

impl Mark {
    /// What became of the store, and why nothing is paid; for a person.
    pub(super) fn reason(&self, path: &Path) -> String {
        let aside = match &self.end {
            Some(end) => format!("was set aside as `{}`", shown(&beside(path, end))),
            None => "was to be set aside".to_owned(),
        };
        format!(
            "the store could not be read and {aside}; nothing is paid until somebody has looked what was paid before"
        )
    }
}

pub(super) fn mark(path: &Path) -> Result<Option<Mark>, StoreError> {
    let name = beside(path, MARK);
    match fs::read(&name) {
        Ok(text) => {
            let end = String::from_utf8(text).ok().filter(|end| {
                end.strip_prefix(CORRUPT)
                    .is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
            });
            Ok(Some(Mark { end }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the mark `{}` of the store cannot be read: {error}", shown(&name))),
    }
}

/// Takes the mark away, once the new store itself keeps payments from being made.
pub(super) fn unmark(path: &Path) -> Result<(), StoreError> {
    let name = beside(path, MARK);
    // The new file before the mark's end.
    sync_folder(path);
    match fs::remove_file(&name) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!(
            "the mark `{}` of the store cannot be removed: {error}; remove it by hand",
            shown(&name)
        )),
        _ => Ok(()),
    }
}

const CORRUPT: &str = ".corrupt-";

/// The end of a name that nothing has yet. What was begun under one is ended under it.
fn end_of_aside(path: &Path, begun: Option<Mark>) -> String {
    let is_free = |end: &String| !PARTS.iter().any(|part| beside(&beside(path, end), part).exists());
    let is_whole = |end: &String| beside(path, end).exists();
    if let Some(end) = begun.and_then(|mark| mark.end).filter(|end| !is_whole(end)) {
        return end;
    }
    let seconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let mut end = format!("{CORRUPT}{seconds}");
    for number in 2_u32.. {
        if is_free(&end) {
            break;
        }
        end = format!("{CORRUPT}{seconds}-{number}");
    }
    end
}

/// Best effort: not every file system can.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    }
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
