//! The scratch directory of a run: removed at its end, however it ends.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

const PREFIX: &str = "aryavarth-bench-";

/// A directory named after this process.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one under `parent`, or beside the binary's build directory, and removes those that
    /// killed runs left there.
    pub fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = match parent {
            Some(parent) => parent.to_path_buf(),
            None => default_parent()?,
        };
        fs::create_dir_all(&parent)?;
        remove_leftovers(&parent)?;
        let dir = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    /// A directory for one store; the one before is removed.
    pub fn fresh(&self) -> Result<PathBuf> {
        let dir = self.0.join("store");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("aryavarth-bench: {} is left behind: {error}", self.0.display());
        }
    }
}

fn default_parent() -> Result<PathBuf> {
    let binary = std::env::current_exe()?;
    let target = binary.ancestors().nth(2).ok_or("the binary lies in no directory")?;
    Ok(target.join("scratch"))
}

fn remove_leftovers(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let pid = name.and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid: u32| !Path::new("/proc").join(pid.to_string()).exists()) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_and_takes_leftovers_with_it() {
        let parent = tempfile::tempdir().unwrap();
        // No process can have this number.
        let leftover = parent.path().join(format!("{PREFIX}4294967295"));
        fs::create_dir(&leftover).unwrap();
        let scratch = Scratch::new(Some(parent.path())).unwrap();
        assert!(!leftover.exists());
        fs::write(scratch.fresh().unwrap().join("file"), "x").unwrap();
        assert_eq!(fs::read_dir(scratch.fresh().unwrap()).unwrap().count(), 0);
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
