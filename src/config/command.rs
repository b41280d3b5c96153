//! Running the command that prints a secret (shell): no shell, bounded in time and output.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::environment;
use super::secret_error::{LONGEST, SecretTrouble};

/// How long a command may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// How much of what a command complains is passed on. It is not trusted to keep secrets.
const LONGEST_COMPLAINT: usize = 200;

const STEP: Duration = Duration::from_millis(20);

/// What `words` prints. The first is the program.
pub(super) fn output(words: &[String], limit: Duration) -> Result<Vec<u8>, SecretTrouble> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(SecretTrouble::Nowhere);
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove(environment::LIBRARY_SECRET)
        .env_remove(environment::ACCESS_TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .spawn()
        .map_err(SecretTrouble::NotRun)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = match wait(&mut child, limit) {
        Ok(Some(status)) => status,
        Ok(None) => {
            end(&mut child);
            return Err(SecretTrouble::TimedOut(limit));
        }
        Err(error) => {
            end(&mut child);
            return Err(SecretTrouble::Io(error));
        }
    };
    // It is over, but something it started may hold its output open.
    let patience = Duration::from_secs(1).min(limit);
    if !status.success() {
        let said = stderr.recv_timeout(patience).unwrap_or_default();
        return Err(SecretTrouble::Failed { status: ended(status), said: first_line(&said) });
    }
    stdout.recv_timeout(patience).map_err(|_| SecretTrouble::TimedOut(limit))
}

/// Waits in small steps: the standard library has no wait with a limit, and a step asks no clock.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= limit {
            return Ok(None);
        }
        std::thread::sleep(STEP);
        waited += STEP;
    }
}

fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let told = group.is_some_and(|group| {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).is_ok()
    });
    if !told {
        // Already gone is fine; there is nothing else to do about another failure.
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// Reads in a thread of its own, so that a full pipe cannot stop the command.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before a failure is judged like any other output.
            let _ = pipe.take(LONGEST + 1).read_to_end(&mut bytes);
        }
        let _ = done.send(bytes);
    });
    result
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let cut: String = line.chars().take(LONGEST_COMPLAINT).collect();
    crate::relpath::printable(cut.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Vec<u8>, SecretTrouble> {
        output(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], limit)
    }

    #[test]
    fn gives_what_the_command_prints() {
        assert_eq!(sh("echo token", LIMIT).unwrap(), b"token\n");
    }

    #[test]
    fn passes_on_the_first_complaint_and_nothing_of_the_output() {
        let error = sh("echo hunter2; echo 'vault is sealed' >&2; echo more >&2; exit 3", LIMIT)
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit code 3") && error.contains("vault is sealed"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("more"), "{error}");
    }

    #[test]
    fn cuts_a_long_complaint() {
        let error = sh("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", LIMIT).unwrap_err();
        assert!(error.to_string().len() < 300);
    }

    #[test]
    fn ends_what_takes_too_long() {
        let error = sh("sleep 600", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, SecretTrouble::TimedOut(_)), "{error}");
    }

    #[test]
    fn does_not_wait_for_what_the_command_left_behind() {
        let error = sh("sleep 5 & echo token", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, SecretTrouble::TimedOut(_)), "{error}");
    }

    #[test]
    fn endless_output_is_bounded() {
        // The reader closes the pipe, so the writer ends by SIGPIPE.
        assert!(sh("exec yes", LIMIT).is_err());
        assert_eq!(sh("head -c 100000 /dev/zero; true", LIMIT).unwrap().len() as u64, LONGEST + 1);
    }

    #[test]
    fn says_when_there_is_no_such_program() {
        let error = output(&["/nonexistent/program".to_owned()], LIMIT).unwrap_err();
        assert!(matches!(error, SecretTrouble::NotRun(_)), "{error}");
    }
}
