//! A folder of backups, by itself.

#![allow(clippy::unwrap_used)]
use super::*;

fn about() -> About {
    About { state_id: "s".to_owned(), epoch: 7, positions: BTreeMap::new() }
}

#[test]
fn each_content_is_there_once_and_goes_with_the_last_backup_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let write = |name: &str, text: &str| {
        let path = data.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("state/1.sst", "old and long");
    write("state/2.sst", "same");
    write("log/1.sst", "same");
    let archive = Archive::new(&folder.path().join("backups"));
    let first = archive.add(&data, about(), 1_795_000_000_000).unwrap();
    assert_eq!((first.contents, first.bytes, first.backup.bytes()), (2, 16, 20));
    fs::remove_file(data.join("state/1.sst")).unwrap();
    write("state/3.sst", "new");
    // Two within a second have two names, and sort as they were made.
    let second = archive.add(&data, about(), 1_795_000_000_000).unwrap();
    assert_eq!((second.contents, second.bytes, second.backup.bytes()), (1, 3, 11));
    assert_eq!(archive.backups().unwrap(), [first.backup.clone(), second.backup.clone()]);
    assert_eq!(archive.backup(None).unwrap(), second.backup);

    let there = |to: &Path| {
        let names = files_in(to).unwrap().into_iter().map(|path| path.strip_prefix(to).unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let (to, old) = (folder.path().join("to"), folder.path().join("old"));
    fs::create_dir_all(&to).unwrap();
    fs::create_dir_all(&old).unwrap();
    archive.restore(&first.backup, &old).unwrap();
    assert_eq!(fs::read_to_string(old.join("state/1.sst")).unwrap(), "old and long");
    assert_eq!(archive.keep(1).unwrap(), 1);
    archive.check(&second.backup).unwrap();
    archive.restore(&second.backup, &to).unwrap();
    assert_eq!(there(&to), [Path::new("log/1.sst"), Path::new("state/2.sst"), Path::new("state/3.sst")]);
    archive.check(&first.backup).unwrap_err();
    assert!(matches!(archive.restore(&second.backup, &to), Err(ArchiveError::Occupied(_))));
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(&folder.path().join("backups"));
    let to = folder.path().join("to");
    fs::create_dir_all(&to).unwrap();
    fs::create_dir_all(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/x"), "x").unwrap();
    let mut backup = archive.add(&folder.path().join("data"), about(), 0).unwrap().backup;
    let stored = backup.files.remove("x").unwrap();
    for name in ["../x", "/tmp/x", "state/../../x"] {
        backup.files = BTreeMap::from([(name.to_owned(), stored.clone())]);
        assert!(matches!(archive.restore(&backup, &to), Err(ArchiveError::Unreadable { .. })), "{name}");
    }
    assert!(!folder.path().join("x").exists());
}

#[test]
fn one_writes_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path());
    let _held = archive.lock().unwrap();
    assert!(matches!(archive.keep(1), Err(ArchiveError::Busy(_))));
}
