//! Whether the machine is as the configuration says (shell): roots, state folder, trust anchor.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::types::Config;

/// Something on the machine that is not as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootProblem {
    /// The key it belongs to.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// A right is missing, rather than the thing.
    pub permission: bool,
    /// The root does not exist; that may pass, when its filesystem is mounted.
    pub missing: bool,
}

impl Config {
    /// Looks at everything the configuration names. Makes the state folder.
    #[must_use]
    pub fn check_machine(&self) -> Vec<RootProblem> {
        let mut problems = Vec::new();
        for mirror in &self.mirrors {
            let key = format!("mirror \"{}\".local", mirror.name);
            problems.extend(check_root(&mirror.local, key));
        }
        if let Some(path) = &self.remote.ca_file
            && let Err(error) = std::fs::File::open(path)
        {
            problems.push(RootProblem {
                key: "remote.ca_file".to_owned(),
                message: format!("cannot read {}: {error}", path.display()),
                permission: error.kind() == std::io::ErrorKind::PermissionDenied,
                missing: false,
            });
        }
        problems.extend(check_state_dir(&self.state_dir));
        problems
    }
}

fn check_root(local: &Path, key: String) -> Option<RootProblem> {
    let problem = |message: String, permission, missing| {
        Some(RootProblem { key: key.clone(), message, permission, missing })
    };
    let shown = local.display();
    match std::fs::metadata(local) {
        Ok(meta) if !meta.is_dir() => {
            return problem(format!("{shown} is not a directory; name the folder to mirror"), false, false);
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return problem(format!("{shown} does not exist; create it, or correct the path"), false, true);
        }
        Err(error) => {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            return problem(format!("cannot look at {shown}: {error}"), denied, false);
        }
    }
    match std::fs::read_dir(local) {
        Ok(_) => None,
        Err(error) => {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            problem(
                format!("cannot list {shown}: {error}; let the user of the daemon read it"),
                denied,
                false,
            )
        }
    }
}

fn check_state_dir(dir: &Path) -> Option<RootProblem> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).and_then(|()| {
        let probe = dir.join(".write-check");
        std::fs::write(&probe, b"")?;
        std::fs::remove_file(&probe)
    });
    let error = made.err()?;
    Some(RootProblem {
        key: "state_dir".to_owned(),
        message: format!(
            "cannot write to the state folder {}: {error}; create it for the user of the daemon, or name another",
            dir.display()
        ),
        permission: error.kind() == std::io::ErrorKind::PermissionDenied,
        missing: false,
    })
}
