//! The address of the metrics: ours, free, or somebody else's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::super::Exit;
use super::check::Check;

/// Nobody on this machine takes longer to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer of ours begins within this; the rest is not read.
const ENOUGH: u64 = 1 << 20;
/// What only we say.
const OURS: &[u8] = b"smh_mirror_build_info";

/// Who answers there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum There {
    Nobody,
    /// Metrics of smh-mirror.
    Metrics,
    /// Something else.
    Another,
    /// The address cannot be asked.
    Unusable(String),
}

/// The address of the configuration, if it has one. `running`: a daemon is at work.
pub(super) fn address(listen: Option<SocketAddr>, running: bool) -> Option<Check> {
    let listen = listen?;
    Some(judge(listen, &look(listen), running))
}

/// Asks instead of listening: a daemon that starts in this moment must get the address.
fn look(listen: SocketAddr) -> There {
    let mut stream = match TcpStream::connect_timeout(&listen, PATIENCE) {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return There::Nobody;
        }
        Err(error) => return There::Unusable(error.to_string()),
    };
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| {
            let request =
                format!("GET /metrics HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())
        });
    let mut said = Vec::new();
    // Whatever was read until then tells who it is.
    let _ = asked.and_then(|()| stream.take(ENOUGH).read_to_end(&mut said));
    if memchr::memmem::find(&said, OURS).is_some() { There::Metrics } else { There::Another }
}

fn judge(listen: SocketAddr, there: &There, running: bool) -> Check {
    const NAME: &str = "metrics";
    match (there, running) {
        (There::Metrics, true) => {
            Check::ok(NAME, format!("the daemon serves them at http://{listen}/metrics"))
        }
        (There::Nobody, false) => {
            Check::ok(NAME, format!("the daemon will serve them at {listen}"))
        }
        (There::Nobody, true) => Check::warning(
            NAME,
            format!("the daemon runs, and nobody serves metrics at {listen}"),
            "restart it: it began before metrics.listen was set",
        ),
        (There::Metrics, false) => Check::problem(
            NAME,
            Exit::Unexpected,
            format!("another smh-mirror serves its metrics at {listen}"),
            "give each instance a port of its own as metrics.listen",
        ),
        (There::Another, _) => Check::problem(
            NAME,
            Exit::Unexpected,
            format!("another program listens at {listen}; the daemon cannot start"),
            "end it, or name another port as metrics.listen",
        ),
        (There::Unusable(why), _) => Check::problem(
            NAME,
            Exit::Config,
            format!("{listen} cannot be used: {why}"),
            "name an address of this machine as metrics.listen",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    #[test]
    fn who_answers_decides() {
        let listen: SocketAddr = "127.0.0.1:9464".parse().unwrap();
        for (there, running, status) in [
            (There::Metrics, true, Status::Ok),
            (There::Nobody, false, Status::Ok),
            (There::Nobody, true, Status::Warning),
            (There::Metrics, false, Status::Problem),
            (There::Another, true, Status::Problem),
            (There::Another, false, Status::Problem),
            (There::Unusable("no".into()), false, Status::Problem),
        ] {
            assert_eq!(judge(listen, &there, running).status, status, "{there:?} {running}");
        }
    }

    #[test]
    fn somebody_who_says_nothing_is_somebody_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let silent = std::thread::spawn(move || drop(listener.accept()));
        assert_eq!(look(listen), There::Another);
        silent.join().unwrap();
        assert_eq!(look(listen), There::Nobody);
    }
}
