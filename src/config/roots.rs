//! What the file system says about a valid configuration (shell).

use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::check::state_apart;
use super::error::{Report, Wrong};
use super::{Config, Mirror, Problem, ProblemKind};

/// A bundle of trust anchors is a few hundred KiB.
const LONGEST_CA: u64 = 4 * 1024 * 1024;

impl Config {
    /// Looks whether the folders and files of the configuration can be used. Creates and writes
    /// nothing.
    #[must_use]
    pub fn check_roots(&self) -> Vec<Problem> {
        let mut report = Report::new(&self.file);
        for mirror in &self.mirrors {
            self.check_root(&mut report, mirror);
        }
        self.check_links(&mut report);
        self.check_ca(&mut report);
        if let Err((kind, wrong)) = state_usable(&self.state_dir) {
            report.add_kind(kind, self.lines.of("state_dir"), "state_dir", wrong);
        }
        report.problems
    }

    /// Makes the state folder, for this user only, unless it is there.
    ///
    /// # Errors
    ///
    /// With what is wrong with its place.
    pub fn make_state_dir(&self) -> Result<(), Problem> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir);
        // The look first: its words say more than those of a failed creation.
        let wrong = state_usable(&self.state_dir).err().or_else(|| {
            let error = made.err()?;
            let what = format!("{} cannot be created: {error}", self.state_dir.display());
            Some((kind_of(&error), Wrong::new(what, "name another folder")))
        });
        let Some((kind, wrong)) = wrong else { return Ok(()) };
        let mut report = Report::new(&self.file);
        report.add_kind(kind, self.lines.of("state_dir"), "state_dir", wrong);
        report.problems.pop().map_or(Ok(()), Err)
    }

    fn check_root(&self, report: &mut Report, mirror: &Mirror) {
        let key = local_key(mirror);
        let line = self.lines.of(&key);
        let shown = mirror.local.display();
        // Opening the folder tells all of it: that it is there, is a folder, and may be read.
        let Err(error) = std::fs::read_dir(&mirror.local) else { return };
        let (kind, wrong) = match error.kind() {
            ErrorKind::NotFound => (
                ProblemKind::Absent,
                Wrong::new(
                    format!("{shown} does not exist"),
                    "create the folder, mount it, or correct the path",
                ),
            ),
            ErrorKind::NotADirectory => (
                ProblemKind::Config,
                Wrong::new(format!("{shown} is not a folder"), "name the folder that holds it"),
            ),
            ErrorKind::PermissionDenied => (
                ProblemKind::Permission,
                Wrong::new(
                    format!("{shown} cannot be read: permission denied"),
                    "let the user of the service read it, or run as another user",
                ),
            ),
            // Such as a mount whose server does not answer.
            _ => (
                ProblemKind::Absent,
                Wrong::new(format!("{shown} cannot be read: {error}"), "check the disk"),
            ),
        };
        report.add_kind(kind, line, key, wrong);
    }

    /// Paths that are apart by name can be one folder by a symbolic link.
    fn check_links(&self, report: &mut Report) {
        let real: Vec<(&Mirror, PathBuf)> = self
            .mirrors
            .iter()
            .filter_map(|mirror| Some((mirror, mirror.local.canonicalize().ok()?)))
            .collect();
        for (index, (mirror, path)) in real.iter().enumerate() {
            for (earlier, other) in &real[..index] {
                if path.starts_with(other) || other.starts_with(path) {
                    let key = local_key(mirror);
                    let what = format!(
                        "{} of mirror.{} is really {}, which overlaps {} of mirror.{}",
                        mirror.local.display(),
                        mirror.name,
                        path.display(),
                        earlier.local.display(),
                        earlier.name
                    );
                    let next = "mirror the outer folder only";
                    report.add(self.lines.of(&key), key, Wrong::new(what, next));
                }
            }
        }
        let state_dir = real_path(&self.state_dir);
        for (mirror, path) in &real {
            let key = format!("mirror.{}", mirror.name);
            if let Some(wrong) = state_apart(&key, path, &state_dir) {
                report.add(self.lines.of("state_dir"), "state_dir", wrong);
            }
        }
    }

    fn check_ca(&self, report: &mut Report) {
        let Some(path) = &self.remote.ca_file else { return };
        let key = "remote.ca_file";
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST_CA).read_to_end(&mut bytes));
        let (kind, wrong) = match read {
            Ok(_) if bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => return,
            Ok(_) => (
                ProblemKind::Config,
                Wrong::new(
                    format!("{} holds no certificate", path.display()),
                    "name a file in PEM, which has a line -----BEGIN CERTIFICATE-----",
                ),
            ),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                (kind_of(&error), Wrong::new(what, "correct the path, or let this user read it"))
            }
        };
        report.add_kind(kind, self.lines.of(key), key, wrong);
    }
}

fn local_key(mirror: &Mirror) -> String {
    format!("mirror.{}.local", mirror.name)
}

fn kind_of(error: &Error) -> ProblemKind {
    match error.kind() {
        ErrorKind::PermissionDenied => ProblemKind::Permission,
        _ => ProblemKind::Config,
    }
}

/// The path with the symbolic links of its existing part resolved.
fn real_path(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_path_buf()
}

/// Whether the folder is there and writable, or could be created.
fn state_usable(state_dir: &Path) -> Result<(), (ProblemKind, Wrong)> {
    for place in state_dir.ancestors() {
        let facts = match std::fs::metadata(place) {
            Ok(facts) => facts,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                continue;
            }
            Err(error) => {
                let what = format!("{} cannot be reached: {error}", place.display());
                return Err((kind_of(&error), Wrong::new(what, "name a folder of this user")));
            }
        };
        let beginning = if place == state_dir {
            String::new()
        } else {
            format!("{} cannot be created: ", state_dir.display())
        };
        if !facts.is_dir() {
            let what = format!("{beginning}{} is not a folder", place.display());
            return Err((ProblemKind::Config, Wrong::new(what, "name another folder")));
        }
        return rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            let error = Error::from(error);
            let what = format!("{beginning}{} is not writable: {error}", place.display());
            (
                kind_of(&error),
                Wrong::new(
                    what,
                    "make it writable for the user of the service, or name another folder",
                ),
            )
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::draft::Secrets;
    use super::super::error::Report;
    use super::super::load::from_text;
    use super::super::{Environment, SAMPLE};
    use super::*;

    fn config(state_dir: PathBuf) -> Config {
        let env = Environment { state_directory: Some(state_dir), ..Environment::default() };
        let report = Report::new(Path::new("c.toml"));
        from_text(SAMPLE, report, &env, Secrets::NotNeeded).unwrap()
    }

    #[test]
    fn makes_the_state_folder_for_this_user_only() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path().join("a/b"));
        config.make_state_dir().unwrap();
        config.make_state_dir().unwrap();
        assert_eq!(std::fs::metadata(&config.state_dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn says_why_the_state_folder_cannot_be_made() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let said = config(dir.path().join("file/state")).make_state_dir().unwrap_err().to_string();
        assert!(said.starts_with("c.toml: state_dir: ") && said.contains("not a folder"), "{said}");
    }

    #[test]
    fn a_root_that_is_not_there_may_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path().join("state"));
        config.mirrors[0].local = dir.path().join("none");
        let problems = config.check_roots();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].kind, ProblemKind::Absent);
        assert_eq!(problems[0].key, "mirror.docs.local");
    }
}
