//! A folder of backups: what each is made of, and every content once, under its hash. So a backup takes the room of what is
//! new since the ones before, each can be deleted by itself, and whatever the disk has changed is noticed.
//!
//! ```text
//! DIR/backups/20261125T101500Z.json    which files, with their lengths and hashes
//! DIR/contents/3f/3f9a…                a content, under its BLAKE3 hash
//! ```

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use tributary_model::Millis;

/// Another layout has another number.
const FORMAT: u32 = 1;
const BACKUPS: &str = "backups";
const CONTENTS: &str = "contents";
/// Held by whoever writes.
const LOCK: &str = "lock";
/// Marks a file that is not whole yet.
const PARTIAL: &str = "partial";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its length.
    pub bytes: u64,
    /// The BLAKE3 hash of its content, in hex.
    pub blake3: String,
}

/// What a backup is of.
#[derive(Clone, Debug)]
pub struct About {
    /// The name of the state.
    pub state_id: String,
    /// The last epoch in it.
    pub epoch: u64,
    /// What that epoch covers of each stream.
    pub positions: BTreeMap<String, String>,
}

/// What a backup is of, and made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The layout of the folder.
    pub format: u32,
    /// Its name, which tells when it was made; later ones sort last.
    pub id: String,
    /// The version of the program that made it.
    pub version: String,
    /// The name of the state.
    pub state_id: String,
    /// The last epoch in it.
    pub epoch: u64,
    /// What that epoch covers of each stream.
    pub positions: BTreeMap<String, String>,
    /// Its files, by their path in a data folder.
    pub files: BTreeMap<String, Stored>,
}

impl Backup {
    /// The length of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

/// What a backup has added to the folder.
#[derive(Clone, Debug)]
pub struct Added {
    /// The backup.
    pub backup: Backup,
    /// Contents that were not there before.
    pub contents: usize,
    /// Their length.
    pub bytes: u64,
}

/// Why a backup cannot be made or put back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk says so.
    #[error("{path}: {error}")]
    Io {
        /// Of which file.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Somebody else writes.
    #[error("{0}: another process is making a backup there")]
    Busy(PathBuf),
    /// No such backup, or none at all.
    #[error("{0}: there is no such backup (`tributary restore {1} --list` lists those that there are)")]
    Missing(String, PathBuf),
    /// What says what a backup is made of cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A content is not what was written.
    #[error(
        "{path}: its content has changed since it was backed up (of {file} in backup {backup}); use another backup, and delete it, so that the next backup stores it anew"
    )]
    Changed {
        /// Where the content is.
        path: PathBuf,
        /// Which file it is of.
        file: String,
        /// In which backup.
        backup: String,
    },
    /// There is something already.
    #[error("{0} is there already; move it away first: a backup is not put over anything")]
    Occupied(PathBuf),
}

/// A folder of backups.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + '_ {
    move |error| ArchiveError::Io { path: path.to_owned(), error }
}

impl Archive {
    /// The backups in a folder, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// All backups, the oldest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn backups(&self) -> Result<Vec<Backup>, ArchiveError> {
        self.ids()?.iter().map(|id| read(&self.list(id))).collect()
    }

    /// The names of all backups, the oldest first.
    fn ids(&self) -> Result<Vec<String>, ArchiveError> {
        let files = files_in(&self.folder.join(BACKUPS))?.into_iter();
        let lists = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let mut ids: Vec<String> =
            lists.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// What says what a backup is made of.
    fn list(&self, id: &str) -> PathBuf {
        self.folder.join(BACKUPS).join(format!("{id}.json"))
    }

    /// A backup by its name; the latest one if none is named.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub fn backup(&self, id: Option<&str>) -> Result<Backup, ArchiveError> {
        let found = match id {
            Some(id) => self.ids()?.into_iter().find(|found| found == id),
            None => self.ids()?.pop(),
        };
        let missing = || ArchiveError::Missing(id.unwrap_or("the latest").to_owned(), self.folder.clone());
        read(&self.list(&found.ok_or_else(missing)?))
    }

    /// Adds what is in a folder as a backup; `about` says what it is of. It counts once all of it is on the disk.
    ///
    /// # Errors
    /// If somebody else writes, or the disk does not take it.
    pub fn add(&self, from: &Path, about: About, now: Millis) -> Result<Added, ArchiveError> {
        let _lock = self.lock()?;
        let (mut files, mut contents, mut bytes) = (BTreeMap::new(), 0, 0);
        for path in files_in(from)? {
            let (stored, is_new) = self.store(&path)?;
            contents += usize::from(is_new);
            bytes += if is_new { stored.bytes } else { 0 };
            let name = path.strip_prefix(from).unwrap_or(&path).to_string_lossy().into_owned();
            files.insert(name, stored);
        }
        let greatest = self.ids()?.pop().unwrap_or_default();
        // Later ones sort last, also where a clock was set back.
        let (now, after) = (stamp(now), |number: u32| format!("{greatest}-{number:04}"));
        let id = if now > greatest { now } else { (1..).map(after).find(|id| *id > greatest).unwrap_or_default() };
        let About { state_id, epoch, positions } = about;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let backup = Backup { format: FORMAT, id, version, state_id, epoch, positions, files };
        let path = self.list(&backup.id);
        let unreadable =
            |error: serde_json::Error| ArchiveError::Unreadable { path: path.clone(), reason: error.to_string() };
        let text = serde_json::to_vec_pretty(&backup).map_err(unreadable)?;
        write_whole(&path, |file| file.write_all(&text)).map_err(at(&path))?;
        Ok(Added { backup, contents, bytes })
    }

    /// Keeps the latest so many backups, and deletes the others and what only they hold. Gives how many are gone.
    ///
    /// # Errors
    /// If somebody else writes, or the disk does not let something go.
    pub fn keep(&self, count: usize) -> Result<usize, ArchiveError> {
        let _lock = self.lock()?;
        let mut backups = self.backups()?;
        let kept = backups.split_off(backups.len().saturating_sub(count));
        for backup in &backups {
            let path = self.list(&backup.id);
            fs::remove_file(&path).map_err(at(&path))?;
        }
        let wanted: BTreeSet<&str> =
            kept.iter().flat_map(|kept| kept.files.values()).map(|file| file.blake3.as_str()).collect();
        for path in files_in(&self.folder.join(CONTENTS))? {
            // What an interrupted backup has left goes too.
            let is_wanted = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| wanted.contains(name));
            if !is_wanted {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(backups.len())
    }

    /// Reads all contents of a backup, and tells whether they are what was written.
    ///
    /// # Errors
    /// Which is not.
    pub fn check(&self, backup: &Backup) -> Result<(), ArchiveError> {
        for (name, stored) in &backup.files {
            self.copy(backup, name, stored, &mut io::sink())?;
        }
        Ok(())
    }

    /// Puts a backup into a folder that must not have what it is of. What is not all there is not there at all.
    ///
    /// # Errors
    /// If there is something already, a content has changed, or the disk does not take it.
    pub fn restore(&self, backup: &Backup, to: &Path) -> Result<(), ArchiveError> {
        if let Some(name) = backup.files.keys().find(|name| !leads_inside(name)) {
            let path = self.list(&backup.id);
            return Err(ArchiveError::Unreadable { path, reason: format!("`{name}` is no path within a data folder") });
        }
        let tops: BTreeSet<&str> = backup.files.keys().filter_map(|name| name.split('/').next()).collect();
        for top in &tops {
            let path = to.join(top);
            if path.exists() {
                return Err(ArchiveError::Occupied(path));
            }
        }
        let being_made = to.join(format!("restoring-{}", backup.id));
        if being_made.exists() {
            fs::remove_dir_all(&being_made).map_err(at(&being_made))?;
        }
        for (name, stored) in &backup.files {
            let path = being_made.join(name);
            let folder = path.parent().unwrap_or(&being_made);
            fs::create_dir_all(folder).map_err(at(folder))?;
            let mut file = File::create(&path).map_err(at(&path))?;
            self.copy(backup, name, stored, &mut file)?;
            file.sync_all().map_err(at(&path))?;
        }
        // The state first: without its log it is refused, and a log without its state would be read from its beginning.
        for top in tops.into_iter().rev() {
            let (from, to) = (being_made.join(top), to.join(top));
            sync_folder(&from).and_then(|()| fs::rename(&from, &to)).map_err(at(&to))?;
        }
        fs::remove_dir(&being_made).and_then(|()| sync_folder(to)).map_err(at(&being_made))
    }

    /// Copies a file's content, if it is what was written.
    fn copy(&self, backup: &Backup, name: &str, stored: &Stored, to: &mut dyn Write) -> Result<(), ArchiveError> {
        let path = self.content(&stored.blake3);
        let mut file = File::open(&path).map_err(at(&path))?;
        let hashed = copy_hashed(&mut file, to).map_err(at(&path))?;
        if hashed != *stored {
            return Err(ArchiveError::Changed { path, file: name.to_owned(), backup: backup.id.clone() });
        }
        Ok(())
    }

    /// Keeps a file's content, if it is not there yet; tells whether it was not.
    fn store(&self, path: &Path) -> Result<(Stored, bool), ArchiveError> {
        let mut file = File::open(path).map_err(at(path))?;
        let stored = copy_hashed(&mut file, &mut io::sink()).map_err(at(path))?;
        let content = self.content(&stored.blake3);
        if fs::metadata(&content).is_ok_and(|there| there.len() == stored.bytes) {
            return Ok((stored, false));
        }
        let copied = write_whole(&content, |to| {
            let mut file = BufReader::new(File::open(path)?);
            io::copy(&mut file, to).map(drop)
        });
        copied.map_err(at(&content))?;
        Ok((stored, true))
    }

    fn content(&self, hash: &str) -> PathBuf {
        self.folder.join(CONTENTS).join(hash.get(..2).unwrap_or("00")).join(hash)
    }

    fn lock(&self) -> Result<File, ArchiveError> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let path = self.folder.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(ArchiveError::Busy(self.folder.clone())),
            Err(fs::TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }
}

fn read(path: &Path) -> Result<Backup, ArchiveError> {
    let unreadable = |reason: String| ArchiveError::Unreadable { path: path.to_owned(), reason };
    let text = fs::read(path).map_err(at(path))?;
    let backup: Backup = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if backup.format != FORMAT {
        let format = backup.format;
        return Err(unreadable(format!("it has format {format}, this program reads format {FORMAT}")));
    }
    Ok(backup)
}

/// When, as names of files have it: `20261125T101500Z`.
fn stamp(now: Millis) -> String {
    tributary_model::format_millis(now).split('.').next().unwrap_or_default().replace(['-', ':', 'Z'], "") + "Z"
}

/// The files below a folder, in the order of their paths.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(at(&folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(at(&folder))?;
            let is_folder = entry.file_type().map_err(at(&folder))?.is_dir();
            if is_folder { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether a path leads nowhere but below the folder that it is joined to.
fn leads_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn copy_hashed(from: &mut File, to: &mut dyn Write) -> io::Result<Stored> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut piece)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        to.write_all(read)?;
        bytes += read.len() as u64;
    }
    Ok(Stored { bytes, blake3: hasher.finalize().to_hex().to_string() })
}

/// Writes a file that is there as a whole or not at all, whatever happens.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let partial = path.with_extension(PARTIAL);
    let mut file = File::create(&partial)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
