//! Runs one hook (shell): no command interpreter, bounded in time and output, and nothing is left of it.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::config::SECRET_VARIABLES;

/// A hook may take so long, with all that it starts.
const LIMIT: Duration = Duration::from_secs(60);
/// Output that is logged.
const SAID_MAX: usize = 2048;
/// Variables that speak of this process only: a hook must not answer for it.
const OURS: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "CREDENTIALS_DIRECTORY",
];

/// Ends the group of a hook when it is dropped: after its end, after too long a time, and when the daemon stops.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nothing of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `words` with `document` on its standard input, and logs what came of it. `name` is the key of the hook.
pub(super) async fn run(name: &str, words: &[String], document: &Value) {
    run_for(LIMIT, name, words, document).await;
}

async fn run_for(limit: Duration, name: &str, words: &[String], document: &Value) {
    let Some((program, arguments)) = words.split_first() else { return };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .kill_on_drop(true);
    for variable in SECRET_VARIABLES.iter().chain(&OURS) {
        command.env_remove(variable);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(hook = name, program, %error, "the hook cannot be run; correct it in [hooks]");
            return;
        }
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let _group = Group(group);
    match tokio::time::timeout(limit, talk(&mut child, document)).await {
        Ok((Ok(status), said)) if status.success() => {
            tracing::debug!(hook = name, said, "the hook is done");
        }
        Ok((Ok(status), said)) => tracing::warn!(hook = name, %status, said, "the hook failed"),
        Ok((Err(error), _)) => tracing::warn!(hook = name, %error, "the hook cannot be waited for"),
        Err(_) => {
            let limit_secs = limit.as_secs();
            tracing::warn!(hook = name, limit_secs, "the hook takes too long and is ended");
        }
    }
}

/// Hands the document over, and takes what the hook says until it ends.
async fn talk(
    child: &mut Child,
    document: &Value,
) -> (std::io::Result<std::process::ExitStatus>, String) {
    let input = child.stdin.take();
    let text = format!("{document}\n");
    let write = async move {
        if let Some(mut input) = input {
            // One that does not read it may end all the same.
            let _ = input.write_all(text.as_bytes()).await;
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut said = (Vec::new(), Vec::new());
    let status = {
        let listen = async {
            tokio::join!(write, listen(stdout, &mut said.0), listen(stderr, &mut said.1));
        };
        tokio::pin!(listen);
        let mut heard = false;
        loop {
            tokio::select! {
                // Something that it started may hold its output open: its own end is the end.
                status = child.wait() => break status,
                () = &mut listen, if !heard => heard = true,
            }
        }
    };
    let said: Vec<u8> = said.1.into_iter().chain(said.0).take(SAID_MAX).collect();
    (status, crate::relpath::printable(String::from_utf8_lossy(&said).trim().as_bytes()))
}

/// Reads to the end, so that a full pipe cannot stop the hook, and keeps the beginning.
async fn listen(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    // What was read before a failure is all there is to log.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = SAID_MAX.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    async fn sh(script: &str, limit: Duration) {
        let words = ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let document = serde_json::json!({"a": 1});
        let work = run_for(limit, "on_trouble", &words, &document);
        tokio::time::timeout(Duration::from_secs(30), work).await.expect("it is bounded");
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_hook_reads_its_document_and_may_say_much() {
        let dir = tempfile::tempdir().unwrap();
        let heard = dir.path().join("heard");
        let script = format!("cat > {}; head -c 300000 /dev/zero; exit 3", heard.display());
        sh(&script, LIMIT).await;
        assert_eq!(text(&heard), "{\"a\":1}\n");
    }

    #[tokio::test]
    async fn one_that_reads_nothing_is_fine() {
        sh("exec <&-; true", LIMIT).await;
        run_for(LIMIT, "on_trouble", &["/nonexistent".to_owned()], &Value::Null).await;
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let script = format!("sleep 600 & echo $! > {0}; echo $$ >> {0}; wait", pids.display());
        sh(&script, Duration::from_millis(500)).await;
        for pid in text(&pids).lines() {
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            // The child of the dead shell is reaped by somebody else; a zombie is dead too.
            let state = || text(Path::new(&format!("/proc/{}/stat", pid.as_raw_nonzero())));
            let dead = || state().is_empty() || state().contains(") Z ");
            for _ in 0..500 {
                if dead() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(dead(), "{}", state());
        }
        assert_eq!(text(&pids).lines().count(), 2);
    }
}
