//! The disk under a folder: whether it takes bytes, how much room it has, and what to do when it fails.

use std::{
    fs::File,
    io::{self, ErrorKind, Write as _},
    path::Path,
};

use crate::cli::Failure;

/// File that is written and removed again to try a disk.
const TRIAL: &str = ".assay-trial";
/// Bytes of it: what a block may need at once on a small chain.
const TRIAL_BYTES: usize = 1 << 20;

/// Refuses a folder that does not take a megabyte; it is made when it is missing.
pub(crate) fn require_writable(folder: &Path, what: &str) -> Result<(), Failure> {
    try_writing(folder).map_err(|error| failure(folder, what, &error))
}

/// Tries a folder: writes a megabyte, waits until it is on the disk, and removes it.
pub(crate) fn try_writing(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(TRIAL);
    let written = write(&path);
    // A file that could not be made needs no removing.
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// Returns the bytes that are free for this user on the disk of a folder.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Says what is wrong with a folder and what to do about it.
pub(crate) fn failure(folder: &Path, what: &str, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free space on this disk, then start again: what was decided is kept"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "find out why the disk is read-only (dmesg), mount it writable, then start again"
        }
        ErrorKind::PermissionDenied => "make it writable for the user that runs this program",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "name a folder, or remove the file that is in its place"
        }
        _ => "check this disk, then start again",
    };
    Failure::failed(format!("{what} {}: {error}", folder.display())).hint(hint)
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0x5a; TRIAL_BYTES])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_made_tried_and_left_empty() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("one/two");
        require_writable(&folder, "data").unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert!(free_bytes(&folder).unwrap() > 0);
    }

    #[test]
    fn file_in_place_of_a_folder_is_named_with_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        std::fs::write(&path, "x").unwrap();
        let failure = require_writable(&path, "data").unwrap_err();
        let text = format!("{failure:?}");
        assert!(
            text.contains("data") && text.contains("name a folder"),
            "{text}"
        );
    }
}
