//! Files that are written as a whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

/// Writes a file beside its place, syncs it, and gives it its name.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    stream_whole(path, |out| out.write_all(bytes))
}

/// Writes a file as [`write_whole`] does, from whatever writes it; nothing is left when that fails.
pub(crate) fn stream_whole<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut out = BufWriter::new(File::create(&name)?);
    let written = write(&mut out).and_then(|answer| {
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&name, path)?;
        Ok(answer)
    });
    if written.is_err() {
        // What failed is said already; a file that cannot be removed is the lesser evil.
        let _ = fs::remove_file(&name);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_write_replaces_the_earlier_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_whole(&path, b"a longer first").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let failed = stream_whole(&path, |_| Err::<(), _>(io::Error::other("no more")));
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
