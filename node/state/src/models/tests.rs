//! Hazards of the model store: cut writes, wrong bytes, full quota.

use super::*;

fn id() -> B256 {
    B256::repeat_byte(7)
}

fn file(name: &str, bytes: &[u8]) -> StagedFile {
    StagedFile {
        name: name.to_owned(),
        size_bytes: bytes.len() as u64,
        blake3: *blake3::hash(bytes).as_bytes(),
    }
}

#[test]
fn held_bundle_is_read_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    for store in [
        ModelStore::open(folder.path()).unwrap(),
        ModelStore::in_memory(),
    ] {
        assert_eq!(store.get(id()).unwrap(), None);
        store
            .insert(id(), Bytes::from_static(b"0123456789"))
            .unwrap();
        assert_eq!(store.get(id()).unwrap().unwrap(), "0123456789");
        assert_eq!(store.read(id(), 4, 3).unwrap().unwrap(), "456");
        assert_eq!(store.read(id(), 8, 9).unwrap().unwrap(), "89");
        assert_eq!(store.read(id(), 99, 9).unwrap().unwrap(), "");
        assert_eq!(store.size_bytes(id()).unwrap(), Some(10));
        assert_eq!(store.ids().unwrap(), [id()]);
    }
}

#[test]
fn bundle_cut_off_while_it_was_written_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    drop(ModelStore::open(folder.path()).unwrap());
    let half = folder
        .path()
        .join("models/staging")
        .join(format!("{}.new", id()));
    fs::write(&half, b"half").unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    assert_eq!(store.get(id()).unwrap(), None);
    assert!(!half.exists());
}

#[test]
fn upload_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let files = || {
        vec![
            file("a", b"first"),
            file("empty", b""),
            file("b", b"second"),
        ]
    };
    {
        let store = ModelStore::open(folder.path()).unwrap();
        let begun = store.staging().begin(id(), b"head", files()).unwrap();
        assert_eq!((begun.received_bytes, begun.total_bytes), (0, 11));
        store.staging().put(id(), 0, b"firstse").unwrap();
    }
    let store = ModelStore::open(folder.path()).unwrap();
    assert_eq!(store.staging().progress(id()), None);
    let begun = store.staging().begin(id(), b"head", files()).unwrap();
    assert_eq!(begun.received_bytes, 7);
    assert!(matches!(
        store.staging().finish(id()),
        Err(StagingError::Incomplete {
            received: 7,
            total: 11
        })
    ));
    store.staging().put(id(), 7, b"cond").unwrap();
    assert_eq!(store.staging().finish(id()).unwrap(), "headfirstsecond");
    assert!(store.staging().cancel(id()).unwrap());
    assert_eq!(store.staging().progress(id()), None);
}

#[test]
fn wrong_bytes_are_dropped_with_their_file_and_may_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    for store in [
        ModelStore::open(folder.path()).unwrap(),
        ModelStore::in_memory(),
    ] {
        let staging = store.staging();
        staging
            .begin(id(), b"h", vec![file("a", b"aa"), file("b", b"bbb")])
            .unwrap();
        let refused = staging.put(id(), 0, b"aabXb").unwrap_err();
        assert!(matches!(refused, StagingError::WrongHash { name, .. } if name == "b"));
        assert_eq!(staging.progress(id()).unwrap().received_bytes, 2);
        staging.put(id(), 2, b"bbb").unwrap();
        assert_eq!(staging.finish(id()).unwrap(), "haabbb");
    }
}

#[test]
fn chunks_out_of_place_or_past_the_end_are_refused() {
    let store = ModelStore::in_memory();
    let staging = store.staging();
    assert!(matches!(
        staging.put(id(), 0, b"x"),
        Err(StagingError::Unknown(_))
    ));
    staging.begin(id(), b"h", vec![file("a", b"aa")]).unwrap();
    assert!(matches!(
        staging.put(id(), 1, b"a"),
        Err(StagingError::Offset {
            found: 1,
            wanted: 0
        })
    ));
    assert!(matches!(
        staging.put(id(), 0, b"aaa"),
        Err(StagingError::TooLong { found: 3, limit: 2 })
    ));
}

#[test]
fn uploads_under_way_stay_within_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    let store = || {
        ModelStore::open(folder.path())
            .unwrap()
            .with_staging_quota(10)
    };
    {
        let store = store();
        store
            .staging()
            .begin(id(), b"h", vec![file("a", b"12345678")])
            .unwrap();
        store.staging().put(id(), 0, b"1234").unwrap();
        let other = store
            .staging()
            .begin(B256::ZERO, b"h", vec![file("a", b"1234")]);
        assert!(matches!(
            other,
            Err(StagingError::Quota {
                asked: 5,
                used: 8,
                limit: 10
            })
        ));
    }
    // What an earlier run left gives way.
    let store = store();
    store
        .staging()
        .begin(B256::ZERO, b"h", vec![file("a", b"123456789")])
        .unwrap();
    assert!(
        !folder
            .path()
            .join("models/staging")
            .join(format!("{}.part", id()))
            .exists()
    );
}
