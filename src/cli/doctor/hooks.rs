//! The commands of `[hooks]`: whether they can be run. They are not.

use std::path::Path;

use rustix::fs::{Access, access};

use super::super::Exit;
use super::check::Check;
use crate::config::Hooks;

/// One check a hook: that it cannot be run shows itself only when somebody has to be told.
pub(super) fn hooks(hooks: &Hooks) -> Vec<Check> {
    let both = [("on_trouble", &hooks.on_trouble), ("on_recovered", &hooks.on_recovered)];
    both.into_iter()
        .filter_map(|(key, words)| Some(judge(key, Path::new(words.as_ref()?.first()?))))
        .collect()
}

fn judge(key: &str, program: &Path) -> Check {
    const NAME: &str = "hooks";
    let hint = format!("correct {key} in [hooks], or make the program executable for this user");
    let problem = |said: String| Check::problem(NAME, Exit::Config, format!("{key}: {said}"), hint);
    // A bare name is looked for in PATH, as the daemon does.
    if !program.is_absolute() && program.components().count() == 1 {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .map(|dir| dir.join(program))
            .find(|program| runs(program).is_ok());
        return match found {
            Some(program) => Check::ok(NAME, format!("{key} runs {}", program.display())),
            None => problem(format!("there is no {} in PATH", program.display())),
        };
    }
    match runs(program) {
        Ok(()) => Check::ok(NAME, format!("{key} runs {}", program.display())),
        Err(error) => problem(format!("{} cannot be run: {error}", program.display())),
    }
}

fn runs(program: &Path) -> std::io::Result<()> {
    access(program, Access::EXEC_OK)?;
    match program.is_dir() {
        true => Err(std::io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_cannot_be_run_is_a_problem() {
        let exit = |program: &str| {
            let on_trouble = Some(vec![program.to_owned(), "argument".to_owned()]);
            let min_interval = Duration::from_secs(60);
            let checks = hooks(&Hooks { on_trouble, on_recovered: None, min_interval });
            assert_eq!(checks.len(), 1);
            super::super::check::exit(&checks)
        };
        for (program, expected) in [
            ("/bin/sh", Exit::Done),
            ("sh", Exit::Done),
            ("no-such-program", Exit::Config),
            ("/no/such/program", Exit::Config),
            ("/etc/passwd", Exit::Config),
            ("/etc", Exit::Config),
        ] {
            assert_eq!(exit(program), expected, "{program}");
        }
    }
}
