//! Where the secrets behind the names of visitors are kept: in a file, in memory, or where several servers share them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

/// A secret of 256 bits, overwritten in memory when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The secret with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The salt of one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DailySalt {
    /// The day, since 1970.
    pub day: i64,
    /// Its salt.
    pub salt: Secret,
}

impl DailySalt {
    /// The salt `salt` of `day`, days since 1970.
    pub fn new(day: i64, salt: Secret) -> Self {
        Self { day, salt }
    }
}

/// Keeps the secret of an installation and the salts of its days: one for all servers of the installation, so that all of
/// them give a visitor the same name. The salts decide what they decide by day alone; which days are kept is the business of
/// [`VisitorHasher`](crate::VisitorHasher).
///
/// What is destroyed must be nowhere afterwards, in no file and in no backup of the store's own. Methods wait for disk or
/// network: they are called at the start, and off async workers.
///
/// Every implementation passes `salt_store_conformance_tests!` (feature `conformance`).
pub trait SaltStore: Send + Sync + fmt::Debug {
    /// The secret of the installation: the one that is kept, else `fresh`, which is kept before this returns.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    fn installation(&self, fresh: Secret) -> io::Result<Secret>;

    /// Destroys the salts of all other days than `days`, for all servers, and returns what is left, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read or destroyed.
    fn keep_only(&self, days: RangeInclusive<i64>) -> io::Result<Vec<DailySalt>>;

    /// The salt of `day`: the one that is kept, else `fresh`, which is kept before this returns. Of several servers that come
    /// at once one is the first.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret>;
}

impl<S: SaltStore + ?Sized> SaltStore for Arc<S> {
    fn installation(&self, fresh: Secret) -> io::Result<Secret> {
        (**self).installation(fresh)
    }

    fn keep_only(&self, days: RangeInclusive<i64>) -> io::Result<Vec<DailySalt>> {
        (**self).keep_only(days)
    }

    fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret> {
        (**self).get_or_create(day, fresh)
    }
}

/// No salt has a later day, since 1970: its end is still a time.
const LAST_DAY: i64 = i64::MAX / (24 * 3_600_000) - 2;

const FILE_NAME: &str = "salts";
const MAGIC: &[u8; 8] = b"ZVSALTS1";
/// No more of the file is read. It holds one or two salts, 80 or 120 bytes.
const FILE_BYTES_MAX: usize = 4_096;

/// The secrets: one for the installation, one a UTC day for its visitors without a cookie.
#[derive(Debug, Clone)]
struct Secrets {
    installation: Secret,
    /// The oldest first.
    salts: Vec<DailySalt>,
}

impl Secrets {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(40 + 40 * self.salts.len()));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.installation.as_bytes());
        for DailySalt { day, salt } in &self.salts {
            bytes.extend_from_slice(&day.to_le_bytes());
            bytes.extend_from_slice(salt.as_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (installation, mut rest) = rest.split_first_chunk::<32>()?;
        let mut salts = Vec::new();
        while !rest.is_empty() {
            let (day, tail) = rest.split_first_chunk::<8>()?;
            let (salt, tail) = tail.split_first_chunk::<32>()?;
            let day = i64::from_le_bytes(*day);
            if !(0..=LAST_DAY).contains(&day) {
                return None;
            }
            rest = tail;
            // What a write over a longer file leaves when it is interrupted.
            if (day, salt) != (0, &[0; 32]) {
                salts.push(DailySalt { day, salt: Secret::new(*salt) });
            }
        }
        Some(Self { installation: Secret::new(*installation), salts })
    }
}

/// Keeps secrets in the memory of one process: visitors get new ids when it ends.
#[derive(Debug, Default)]
pub struct MemorySalts(Mutex<Option<Secrets>>);

/// Keeps secrets in the file `salts` of a directory, for one process, readable by its owner only. Old bytes are overwritten
/// before they are given back to the disk.
#[derive(Debug)]
pub struct FileSalts {
    file: SaltFile,
    /// What the file holds.
    secrets: Mutex<Option<Secrets>>,
}

impl FileSalts {
    /// Reads the file `salts` in `dir`, if it is there. The directory is made when it is missing, mode 0700.
    ///
    /// # Errors
    /// When the directory cannot be made, or the file cannot be read, or is damaged: the path is named.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(dir).map_err(of(dir))?;
        let file = SaltFile { path: dir.join(FILE_NAME) };
        let secrets = Mutex::new(file.read().map_err(of(&file.path))?);
        Ok(Self { file, secrets })
    }
}

impl SaltStore for MemorySalts {
    fn installation(&self, fresh: Secret) -> io::Result<Secret> {
        installation(&mut self.0.lock(), fresh, |_| Ok(()))
    }

    fn keep_only(&self, days: RangeInclusive<i64>) -> io::Result<Vec<DailySalt>> {
        keep_only(&mut self.0.lock(), &days, |_| Ok(()))
    }

    fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret> {
        get_or_create(&mut self.0.lock(), day, fresh, |_| Ok(()))
    }
}

impl SaltStore for FileSalts {
    fn installation(&self, fresh: Secret) -> io::Result<Secret> {
        installation(&mut self.secrets.lock(), fresh, |secrets| self.file.write(secrets))
    }

    fn keep_only(&self, days: RangeInclusive<i64>) -> io::Result<Vec<DailySalt>> {
        keep_only(&mut self.secrets.lock(), &days, |secrets| self.file.write(secrets))
    }

    fn get_or_create(&self, day: i64, fresh: Secret) -> io::Result<Secret> {
        get_or_create(&mut self.secrets.lock(), day, fresh, |secrets| self.file.write(secrets))
    }
}

fn installation(
    kept: &mut Option<Secrets>,
    fresh: Secret,
    keep: impl Fn(&Secrets) -> io::Result<()>,
) -> io::Result<Secret> {
    if let Some(secrets) = kept {
        return Ok(secrets.installation.clone());
    }
    let secrets = Secrets { installation: fresh.clone(), salts: Vec::new() };
    keep(&secrets)?;
    *kept = Some(secrets);
    Ok(fresh)
}

fn keep_only(
    kept: &mut Option<Secrets>,
    days: &RangeInclusive<i64>,
    keep: impl Fn(&Secrets) -> io::Result<()>,
) -> io::Result<Vec<DailySalt>> {
    let Some(secrets) = kept else { return Ok(Vec::new()) };
    let mut left = secrets.clone();
    left.salts.retain(|salt| days.contains(&salt.day));
    if left.salts.len() < secrets.salts.len() {
        keep(&left)?;
        *secrets = left;
    }
    Ok(secrets.salts.clone())
}

fn get_or_create(
    kept: &mut Option<Secrets>,
    day: i64,
    fresh: Secret,
    keep: impl Fn(&Secrets) -> io::Result<()>,
) -> io::Result<Secret> {
    let Some(secrets) = kept else { return Err(io::Error::other("the secret of the installation is not there")) };
    if let Some(known) = secrets.salts.iter().find(|salt| salt.day == day) {
        return Ok(known.salt.clone());
    }
    let mut more = secrets.clone();
    let place = more.salts.partition_point(|salt| salt.day < day);
    more.salts.insert(place, DailySalt { day, salt: fresh.clone() });
    keep(&more)?;
    *secrets = more;
    Ok(fresh)
}

/// The file that keeps the secrets over a restart. Old bytes are overwritten before they are given back to the disk.
#[derive(Debug)]
struct SaltFile {
    path: PathBuf,
}

/// What went wrong, and with which file.
fn of(path: &Path) -> impl Fn(io::Error) -> io::Error {
    |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl SaltFile {
    fn read(&self) -> io::Result<Option<Secrets>> {
        let mut bytes = Zeroizing::new(Vec::new());
        match File::open(&self.path) {
            Ok(file) => file.take(FILE_BYTES_MAX as u64).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match Secrets::decode(&bytes) {
            Some(secrets) => Ok(Some(secrets)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is damaged; remove it to begin with new visitor ids",
            )),
        }
    }

    /// Replaces what the file holds. A crash leaves the old or the new secrets. Where there is no room for a second file
    /// the one that is there is written over: a salt whose time is over goes on a full disk, too.
    fn write(&self, secrets: &Secrets) -> io::Result<()> {
        let bytes = secrets.encode();
        let written = match self.replace(&bytes) {
            Err(_) if self.path.exists() => self.write_over(&bytes),
            replaced => replaced,
        };
        written.map_err(of(&self.path))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        // What a process that died has left, or a link that somebody put there, which must not be followed.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh)?;
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        let old = OpenOptions::new().write(true).open(&self.path);
        fs::rename(&fresh, &self.path)?;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        // The old file has no name any more; its blocks are overwritten before they are freed.
        if let Ok(mut old) = old {
            let len = usize::try_from(old.metadata()?.len()).unwrap_or(0).min(FILE_BYTES_MAX);
            old.seek(SeekFrom::Start(0))?;
            old.write_all(&vec![0; len])?;
            old.sync_all()?;
        }
        Ok(())
    }

    /// Takes no new block of the disk, and the file is less than one sector, which disks write whole. What is longer than
    /// the new secrets is zeros until it is cut off.
    fn write_over(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(FILE_BYTES_MAX);
        let mut padded = Zeroizing::new(bytes.to_vec());
        padded.resize(len.max(bytes.len()), 0);
        file.write_all(&padded)?;
        file.sync_all()?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 32])
    }

    mod memory {
        use super::super::*;

        crate::salt_store_conformance_tests!(|| {
            let store = Arc::new(MemorySalts::default());
            move || -> Arc<dyn SaltStore> { Arc::clone(&store) as _ }
        });
    }

    mod file {
        use super::super::*;

        crate::salt_store_conformance_tests!(|| {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(FileSalts::open(dir.path()).unwrap());
            move || -> Arc<dyn SaltStore> {
                // The directory lives as long as the store.
                let _ = &dir;
                Arc::clone(&store) as _
            }
        });
    }

    #[test]
    fn the_file_keeps_secrets_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileSalts::open(dir.path()).unwrap();
        first.installation(secret(1)).unwrap();
        first.get_or_create(20_000, secret(2)).unwrap();
        drop(first);
        let next = FileSalts::open(dir.path()).unwrap();
        assert_eq!(next.installation(secret(3)).unwrap(), secret(1));
        assert_eq!(next.get_or_create(20_000, secret(3)).unwrap(), secret(2));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        FileSalts::open(dir.path()).unwrap().installation(secret(1)).unwrap();
        assert_eq!(fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
