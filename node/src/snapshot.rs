//! `assay node export --snapshot` and `import --snapshot`: a chain's newest state with its proof.

use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
};

use alloy_primitives::B256;
use assay_chain::{
    Chain,
    snapshot::{self, Restored, SnapshotError},
};
use assay_state::{StateError, Store};
use assay_types::Genesis;
use serde_json::json;

use crate::{
    cli::{Failure, say},
    file::stream_whole,
    node::unreadable,
    progress::Progress,
    table::size,
};

/// Folder in the data directory where a snapshot is read, until all of it is believed.
const UNPROVEN: &str = "snapshot.unproven";

/// Writes a snapshot of a chain into a file.
pub(crate) fn take(chain: &Chain, path: &Path, as_json: bool) -> Result<(), Failure> {
    let taken = stream_whole(path, |out| snapshot::take(chain, out));
    let taken = taken.map_err(|error| match error {
        SnapshotError::File(error) => unreadable(path, &error),
        error => Failure::failed(error),
    })?;
    let bytes = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    say(
        as_json,
        &json!({"file": path, "snapshotOf": taken.number, "hash": taken.hash,
            "accounts": taken.accounts, "bytes": bytes.len()}),
        format!(
            "wrote a snapshot of block {} ({}), {} accounts, {}, to {}",
            taken.number,
            taken.hash,
            taken.accounts,
            size(bytes.len()),
            path.display()
        ),
    );
    Ok(())
}

/// Makes the chain of a data directory from a snapshot, all of it proven, or nothing.
pub(crate) fn restore(
    path: &Path,
    genesis: &Genesis,
    datadir: &Path,
    wanted: Option<B256>,
    as_json: bool,
) -> Result<(), Failure> {
    if Store::is_in(datadir) {
        return Err(Failure::failed(StateError::NotEmpty));
    }
    let unproven = datadir.join(UNPROVEN);
    // What an import that was cut off left is nobody's.
    remove(&unproven)?;
    let proven = read(path, genesis, &unproven, wanted);
    let moved = proven.and_then(|proven| {
        Store::relocate(&unproven, datadir).map_err(Failure::failed)?;
        Ok(proven)
    });
    let removed = remove(&unproven);
    let proven = moved?;
    removed?;
    say(
        as_json,
        &json!({"head": proven.number, "hash": proven.hash, "time": proven.time,
            "signedPower": proven.signed, "totalPower": proven.total, "accounts": proven.accounts}),
        format!(
            "block {} ({}), decided by {} of {} power, and its state of {} accounts are proven\n\
             compare the hash with another operator's: keys that validators gave up long ago could have signed too",
            proven.number, proven.hash, proven.signed, proven.total, proven.accounts
        ),
    );
    Ok(())
}

fn read(
    path: &Path,
    genesis: &Genesis,
    unproven: &Path,
    wanted: Option<B256>,
) -> Result<Restored, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let bytes = file.metadata().map_err(|error| unreadable(path, &error))?;
    let progress = Progress::new("importing", bytes.len());
    let store = Store::open(unproven).map_err(Failure::failed)?;
    let input = BufReader::new(file);
    let proven = snapshot::restore(genesis, &store, input, |read| progress.set(read))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    match wanted {
        Some(wanted) if wanted != proven.hash => Err(Failure::failed(format!(
            "{}: snapshot is of block {} ({}), not of {wanted}",
            path.display(),
            proven.number,
            proven.hash
        ))),
        _ => Ok(proven),
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).map_err(|error| unreadable(folder, &error)),
        false => Ok(()),
    }
}
