//! Commands of a person that are told when something is wrong, and when it is not any more (shell).
//!
//! The loop of the daemon only leaves a word that something may have changed. A task of its own asks the journal, has
//! `alarms` decide, and runs the commands one after the other.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::alarms::{Alarms, Call, Evidence, FAILING_MS, Kind, Trouble};
use super::hook_process;
use crate::clock::{Clock, to_ms};
use crate::config::Config;
use crate::journal::{ConditionKind, Failing, JournalError, MirrorWrong, Reader};
use crate::mirror::{Event, Observer, Sent};
use crate::wording::quoted;

/// Looks are at least so far apart, however much happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Paths that a call names.
const EXAMPLES: u32 = 5;
/// What was told, in the state folder: the journal may be what is wrong.
const FILE: &str = "alarms.json";
/// A file of that name that is larger is not ours.
const FILE_MAX: u64 = 1024 * 1024;

/// The hooks of a daemon.
pub(super) struct Hooks {
    news: Arc<News>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What the loop of the daemon leaves for the task.
struct News {
    /// Since when this process works, milliseconds since the Unix epoch.
    began_ms: i64,
    wake: Notify,
    /// Every event counts, since it may be the end of a trouble.
    alarmed: AtomicBool,
    /// Mirrors of which something succeeded since the last look that found something wrong.
    worked: Mutex<BTreeSet<String>>,
    /// Why the journal cannot be written, and since when.
    stuck: Mutex<Option<(String, i64)>>,
}

impl Hooks {
    /// Watches over what is configured, whatever that becomes.
    pub(super) fn start(clock: Clock, mut configs: watch::Receiver<Arc<Config>>) -> Hooks {
        let news = Arc::new(News {
            began_ms: clock.now().unix_ms,
            wake: Notify::new(),
            alarmed: AtomicBool::new(false),
            worked: Mutex::default(),
            stuck: Mutex::default(),
        });
        let stop = CancellationToken::new();
        // The first one is news too.
        configs.mark_changed();
        let task = tokio::spawn(watch_over(Arc::clone(&news), configs, clock, stop.clone()));
        Hooks { news, stop, task }
    }

    /// Who hears the news of the runs.
    pub(super) fn listener(&self) -> Listener {
        Listener { news: Arc::clone(&self.news), heard: false }
    }

    /// Ends what runs, with all that it started.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the hooks failed unexpectedly; please report this");
        }
    }
}

/// Leaves a word for the task once a turn.
pub(super) struct Listener {
    news: Arc<News>,
    heard: bool,
}

impl Listener {
    /// The journal cannot be written.
    pub(super) fn stuck(&self, why: &str, now_ms: i64) {
        lock(&self.news.stuck).get_or_insert_with(|| (why.to_owned(), now_ms));
        self.news.wake.notify_one();
    }

    /// A run begins: the journal can be written.
    pub(super) fn goes_on(&self) {
        *lock(&self.news.stuck) = None;
        self.news.wake.notify_one();
    }
}

impl Observer for Listener {
    fn event(&mut self, event: &Event) {
        let alarmed = self.news.alarmed.load(Ordering::Relaxed);
        let worked = match event {
            // Nothing was asked of the service.
            Event::Synced { how: Sent::Unchanged, .. } => None,
            Event::Synced { mirror, .. } | Event::Moved { mirror, .. } => Some(mirror),
            _ => None,
        };
        if let Some(mirror) = worked.filter(|_| alarmed) {
            lock(&self.news.worked).insert(mirror.clone());
        }
        self.heard |= match event {
            Event::Trouble { .. }
            | Event::Held { .. }
            | Event::Released { .. }
            | Event::Stopped { .. }
            | Event::Resumed { .. }
            | Event::Rebuilt { .. }
            | Event::Scanned { .. } => true,
            _ => alarmed,
        };
    }

    fn alive(&mut self) {
        if std::mem::take(&mut self.heard) {
            self.news.wake.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks whenever something may have changed, and tells.
async fn watch_over(
    news: Arc<News>,
    mut configs: watch::Receiver<Arc<Config>>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut alarms: Option<Alarms> = None;
    let mut again_ms: Option<i64> = None;
    loop {
        let again = async {
            match again_ms {
                Some(at) => {
                    let ms = at.saturating_sub(clock.now().unix_ms).max(0);
                    tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = news.wake.notified() => {}
            changed = configs.changed() => if changed.is_err() { return },
            () = again => {}
        }
        let config = Arc::clone(&configs.borrow_and_update());
        again_ms = None;
        if !config.hooks.are_set() {
            continue;
        }
        let known = match alarms.take() {
            Some(alarms) => alarms,
            None => remembered(&config.state_dir),
        };
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = look(Arc::clone(&news), Arc::clone(&config), clock, known) => looked,
        };
        let Looked { alarms: after, calls, again_ms: next } = looked;
        alarms = Some(after);
        again_ms = next;
        for call in calls {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tell(&config, &call, clock) => {}
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What came of a look.
struct Looked {
    alarms: Alarms,
    calls: Vec<Call>,
    again_ms: Option<i64>,
}

/// Asks the journal, decides, and remembers what will have been told: after a crash in between a call is missing, not
/// made again and again.
async fn look(news: Arc<News>, config: Arc<Config>, clock: Clock, mut alarms: Alarms) -> Looked {
    let kept = alarms.clone();
    let work = tokio::task::spawn_blocking(move || {
        let now_ms = clock.now().unix_ms;
        let (evidence, failing_ms) = match evidence(&news, &config, now_ms) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "the hooks cannot read the journal now");
                let again_ms = Some(now_ms.saturating_add(to_ms(LOOK_EVERY) * 10));
                return Looked { alarms, calls: Vec::new(), again_ms };
            }
        };
        let before = alarms.clone();
        let interval_ms = to_ms(config.hooks.min_interval);
        let (calls, next) = alarms.decide(&evidence, interval_ms, now_ms);
        news.alarmed.store(alarms.is_raised(), Ordering::Relaxed);
        if !evidence.troubles.is_empty() {
            lock(&news.worked).clear();
        }
        if alarms != before {
            remember(&config.state_dir, &alarms);
        }
        let again_ms = [next, failing_ms].into_iter().flatten().min();
        Looked { alarms, calls, again_ms }
    });
    work.await.unwrap_or_else(|_| {
        tracing::error!("a look for the hooks failed unexpectedly; please report this");
        Looked { alarms: kept, calls: Vec::new(), again_ms: None }
    })
}

/// What is known now, and when an entry will have failed for too long.
fn evidence(
    news: &News,
    config: &Config,
    now_ms: i64,
) -> Result<(Evidence, Option<i64>), JournalError> {
    let mut found = Evidence::default();
    if let Some((message, since_ms)) = lock(&news.stuck).clone() {
        // What the journal says is old.
        found.works = config.mirrors.iter().map(|mirror| (mirror.name.clone(), false)).collect();
        found.troubles.push(of_all(Kind::Journal, message, since_ms));
        return Ok((found, None));
    }
    let reader = Reader::open(&config.state_dir)?;
    let before_ms = now_ms.saturating_sub(FAILING_MS);
    let mirrors = reader.snapshot(|reader| reader.wrong(before_ms, EXAMPLES))?;
    let worked = lock(&news.worked).clone();
    let mut failing_ms = None;
    let is_configured = |name: &str| config.mirrors.iter().any(|mirror| mirror.name == name);
    for wrong in mirrors.iter().filter(|wrong| is_configured(&wrong.known.name)) {
        let name = wrong.known.name.clone();
        let scanned = wrong.scanned_at_ms.is_some_and(|at| at >= news.began_ms);
        let works = worked.contains(&name) || scanned && !wrong.waits;
        troubles(wrong, &mut found.troubles);
        found.works.insert(name, works);
        let too_long = wrong.failing_since_ms.map(|since| since.saturating_add(FAILING_MS + 1));
        failing_ms = [failing_ms, too_long].into_iter().flatten().min();
    }
    Ok((found, failing_ms))
}

fn of_all(kind: Kind, message: String, since_ms: i64) -> Trouble {
    let (mirror, class) = (None, None);
    Trouble { mirror, kind, since_ms, class, code: None, message, count: 1, paths: Vec::new() }
}

/// What of a mirror's evidence a person wants to know.
fn troubles(wrong: &MirrorWrong, found: &mut Vec<Trouble>) {
    let of = |kind, message: &str, since_ms| Trouble {
        mirror: Some(wrong.known.name.clone()),
        ..of_all(kind, message.to_owned(), since_ms)
    };
    for condition in &wrong.conditions {
        let kind = match condition.kind {
            ConditionKind::Offline => Kind::Offline,
            ConditionKind::Auth => Kind::Auth,
            ConditionKind::Quota => Kind::Quota,
            ConditionKind::Root => Kind::Held,
            ConditionKind::Rebuilding => Kind::Journal,
            // These stop nothing, or a person wanted them.
            _ => continue,
        };
        let mut trouble = of(kind, &condition.message, condition.since_ms);
        if condition.mirror.is_none() {
            trouble.mirror = None;
        }
        // What stops all mirrors is said by each of them.
        if !found.iter().any(|f| f.mirror == trouble.mirror && f.kind == kind) {
            found.push(trouble);
        }
    }
    let name = Some(wrong.known.name.as_str());
    let is_held = found.iter().any(|t| t.mirror.as_deref() == name && t.kind == Kind::Held);
    if let (Some(hold), false) = (wrong.holds.first(), is_held) {
        let count = wrong.holds.len() as u64;
        found.push(Trouble { count, ..of(Kind::Held, &hold.message, hold.since_ms) });
    }
    for (kind, failing) in [(Kind::Blocked, &wrong.blocked), (Kind::Failing, &wrong.failing)] {
        if let Failing { count, since_ms: Some(since_ms), newest } = failing
            && let Some(last) = newest.first()
        {
            let paths = newest
                .iter()
                .map(|entry| String::from_utf8_lossy(entry.path.as_bytes()).into_owned());
            found.push(Trouble {
                class: Some(last.trouble.class.as_str()),
                code: last.trouble.code.clone(),
                count: *count,
                paths: paths.collect(),
                ..of(kind, &last.trouble.message, *since_ms)
            });
        }
    }
}

/// Makes one call.
async fn tell(config: &Config, call: &Call, clock: Clock) {
    let (name, words) = match call {
        Call::Trouble(_) => ("on_trouble", &config.hooks.on_trouble),
        Call::Recovered { .. } => ("on_recovered", &config.hooks.on_recovered),
    };
    let Some(words) = words else { return };
    // Whoever reads it may be in another folder.
    let file = std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone());
    let document = document(call, &file, clock.now().unix_ms);
    tracing::info!(hook = name, mirror = document["mirror"].as_str(), "calls the hook");
    hook_process::run(name, words, &document).await;
}

/// The document of schema 1 (pure).
fn document(call: &Call, config: &Path, now_ms: i64) -> Value {
    let look = |what: &str| format!("smh-mirror -c {} {what}", quoted(config));
    match call {
        Call::Trouble(trouble) => json!({
            "schema": 1,
            "event": "trouble",
            "at": time(now_ms),
            "mirror": trouble.mirror,
            "kind": trouble.kind,
            "state": state(trouble.kind),
            "since": time(trouble.since_ms),
            "class": trouble.class,
            "code": trouble.code,
            "message": trouble.message,
            "count": trouble.count,
            "paths": trouble.paths,
            "command": look(question(trouble.kind)),
        }),
        Call::Recovered { mirror, kinds, since_ms } => json!({
            "schema": 1,
            "event": "recovered",
            "at": time(now_ms),
            "mirror": mirror,
            "kinds": kinds,
            "state": "recovered",
            "since": time(*since_ms),
            "message": "what was told is over",
            "command": look("status"),
        }),
    }
}

/// The word of `status` for a mirror of which this is the worst (pure).
fn state(kind: Kind) -> &'static str {
    match kind {
        Kind::Auth => "auth",
        Kind::Held => "held",
        Kind::Offline => "offline",
        Kind::Journal | Kind::Quota | Kind::Blocked | Kind::Failing => "behind",
    }
}

/// The command that tells more (pure).
fn question(kind: Kind) -> &'static str {
    match kind {
        Kind::Auth | Kind::Offline => "doctor",
        Kind::Held | Kind::Journal => "status",
        Kind::Quota | Kind::Blocked | Kind::Failing => "errors",
    }
}

/// A time for people and programs.
fn time(unix_ms: i64) -> String {
    jiff::Timestamp::from_second(unix_ms.div_euclid(1000))
        .map(|at| at.to_string())
        .unwrap_or_else(|_| unix_ms.to_string())
}

/// What an earlier run told. Without it, what is wrong is told once more.
fn remembered(state_dir: &Path) -> Alarms {
    let path = state_dir.join(FILE);
    let read = || -> std::io::Result<Option<Alarms>> {
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(meta) if meta.len() > FILE_MAX => return Err(std::io::Error::other("too large")),
            Ok(_) => std::fs::read(&path)?,
        };
        Ok(Some(serde_json::from_slice(&bytes)?))
    };
    match read() {
        Ok(alarms) => alarms.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "what the hooks were told before is not known; what is wrong is told again");
            Alarms::default()
        }
    }
}

/// For the next run. On a full disk it is forgotten, and then told once more.
fn remember(state_dir: &Path, alarms: &Alarms) {
    let write = || -> std::io::Result<()> {
        let unfinished = state_dir.join(format!("{FILE}.new"));
        // What is wrong with whose files is for nobody else.
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&unfinished)?.write_all(&serde_json::to_vec(alarms)?)?;
        std::fs::rename(&unfinished, state_dir.join(FILE))
    };
    if let Err(error) = write() {
        tracing::warn!(path = %state_dir.join(FILE).display(), %error, "cannot remember what the hooks were told");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_document_says_what_is_wrong_and_where_to_look() {
        let trouble = Trouble {
            mirror: Some("docs".into()),
            class: Some("permanent"),
            code: Some("IllegalFileName".into()),
            paths: vec!["a/b".into()],
            ..of_all(Kind::Blocked, "no".into(), 1_000)
        };
        let found = document(&Call::Trouble(trouble), Path::new("/etc/my dir/it's.toml"), 5_000);
        assert_eq!(
            found,
            json!({
                "schema": 1, "event": "trouble", "at": "1970-01-01T00:00:05Z", "mirror": "docs",
                "kind": "blocked", "state": "behind", "since": "1970-01-01T00:00:01Z", "class": "permanent",
                "code": "IllegalFileName", "message": "no", "count": 1, "paths": ["a/b"],
                "command": r"smh-mirror -c '/etc/my dir/it'\''s.toml' errors",
            })
        );
    }

    #[test]
    fn what_was_told_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(remembered(dir.path()), Alarms::default());
        let mut alarms = Alarms::default();
        let works = BTreeMap::from([("docs".to_owned(), false)]);
        let troubles =
            vec![Trouble { mirror: Some("docs".into()), ..of_all(Kind::Held, "m".into(), 0) }];
        let evidence = Evidence { troubles, works };
        alarms.decide(&evidence, 0, 0);
        assert_eq!(alarms.decide(&evidence, 0, 10_000).0.len(), 1);
        remember(dir.path(), &alarms);
        let again = remembered(dir.path());
        assert!(again.is_raised());
        std::fs::write(dir.path().join(FILE), "nonsense").unwrap();
        assert_eq!(remembered(dir.path()), Alarms::default());
    }
}
