//! What is signed once, said again, and never signed.

use super::{log::LastSigned, *};

fn digest(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn said(byte: u8) -> Said {
    Said {
        digest: digest(byte),
        block: B256::ZERO,
    }
}

fn open(folder: &tempfile::TempDir) -> LastSigned {
    LastSigned::open(&folder.path().join("signed")).unwrap()
}

#[test]
fn signature_recovers_to_the_account_and_has_a_low_s() {
    let key = ValidatorKey::new(&[7; 32]).unwrap();
    for byte in 0..50 {
        let seal = key.sign(digest(byte)).unwrap();
        assert_eq!(recover(digest(byte), &seal), Some(key.account()));
    }
    assert!(ValidatorKey::new(&[0; 32]).is_none());
    assert!(!format!("{key:?}").contains("0707"));
}

#[test]
fn no_place_is_signed_twice_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = open(&folder);
    last.allow(5, 0, PREVOTE, said(1)).unwrap();
    last.allow(5, 0, PRECOMMIT, said(2)).unwrap();
    for mut last in [last, open(&folder)] {
        last.allow(5, 0, PREVOTE, said(1)).unwrap();
        assert!(last.allow(5, 0, PREVOTE, said(9)).is_err());
        // A proposal that comes late is another place.
        last.allow(5, 0, PROPOSE, said(1)).unwrap();
        assert!(last.allow(4, 9, PREVOTE, said(1)).is_err());
    }
    let mut last = open(&folder);
    last.allow(5, 1, PROPOSE, said(3)).unwrap();
    last.allow(6, 0, PREVOTE, said(4)).unwrap();
    assert!(last.allow(5, 2, PREVOTE, said(4)).is_err());
    assert_eq!(open(&folder).height(), 6);
}

#[test]
fn refused_vote_is_said_again_where_that_binds_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let domain = Domain {
        genesis_hash: digest(9),
        chain_id: 1,
    };
    let key = ValidatorKey::new(&[7; 32]).unwrap();
    let account = Account(key.account());
    let (key, last) = (Arc::new(key), open(&folder));
    let signer = EngineSigner::new(domain, Voter { key, last }, Arc::default());
    let say = |kind, round, block: NilOrVal<B256>| {
        let vote = Vote {
            kind,
            height: crate::Height(3),
            round: Round::new(round),
            block,
            voter: account,
        };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(said) = signer.sign_vote(vote).as_mut().poll(&mut context)
        else {
            panic!("signing waits for nothing")
        };
        let said = said.unwrap();
        let digest = said.message.digest(&domain);
        let valid = EngineVerifier::check(digest, &said.signature, &account).is_valid();
        valid.then_some(said.message.block)
    };
    let (one, none) = (NilOrVal::Val(digest(1)), NilOrVal::Nil);
    let (prevote, precommit) = (VoteType::Prevote, VoteType::Precommit);
    for (kind, round, asked, said) in [
        (prevote, 0, one, Some(one)),
        (prevote, 0, none, Some(one)),
        (prevote, 1, none, Some(none)),
        (prevote, 1, one, Some(none)),
        (precommit, 0, none, Some(none)),
        (precommit, 0, one, Some(none)),
        (precommit, 1, one, Some(one)),
        (precommit, 1, none, None),
        (precommit, 1, one, Some(one)),
    ] {
        assert_eq!(say(kind, round, asked), said, "{kind:?} {round} {asked:?}");
    }
}

#[test]
fn torn_entry_is_dropped_and_a_damaged_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed");
    let mut last = open(&folder);
    last.allow(1, 0, PREVOTE, said(1)).unwrap();
    last.allow(2, 0, PREVOTE, said(1)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let mut torn = open(&folder);
    assert_eq!(torn.height(), 1);
    torn.allow(2, 0, PREVOTE, said(2)).unwrap();
    assert_eq!(open(&folder).height(), 2);
    bytes[32] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = LastSigned::open(&path).unwrap_err();
    assert!(matches!(error, SignError::Damaged { entry: 0, .. }));
}

#[test]
fn long_log_is_cut_to_the_newest_height() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = open(&folder);
    last.length = 1 << 20;
    last.allow(8, 0, PREVOTE, said(1)).unwrap();
    last.allow(8, 0, PRECOMMIT, said(1)).unwrap();
    drop(last);
    let mut last = open(&folder);
    let file = std::fs::metadata(folder.path().join("signed")).unwrap();
    assert_eq!(file.len(), last.length);
    assert!(last.length < 256);
    assert!(last.allow(8, 0, PREVOTE, said(2)).is_err());
}

#[test]
fn log_without_the_mark_or_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed");
    open(&folder).allow(1, 0, PREVOTE, said(1)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"ASSAYSIG\0\0\0\x01"));
    std::fs::write(&path, &bytes[12..]).unwrap();
    let error = LastSigned::open(&path).unwrap_err();
    assert!(matches!(error, SignError::Foreign { .. }), "{error}");
    bytes[11] = 2;
    std::fs::write(&path, &bytes).unwrap();
    let error = LastSigned::open(&path).unwrap_err();
    assert!(
        matches!(error, SignError::Version { found: 2, .. }),
        "{error}"
    );
    // A head that was never whole: the process died while it made the file.
    std::fs::write(&path, b"ASSAYSIG\0").unwrap();
    assert_eq!(LastSigned::open(&path).unwrap().height(), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"ASSAYSIG\0\0\0\x01");
}
