//! What a comparison found, for people and programs (pure).

use serde_json::{Value, json};

use super::status_view::put_path;
use super::{Exit, output};
use crate::config::Mirror;
use crate::failure::Class;
use crate::mirror::{Difference, Extra, Listed, Report, Told, Waiting, Why};
use crate::wording::{counted, verb};

/// What only waits, or is in the library only, is shown by some examples; JSON has more.
const EXAMPLES: usize = 20;

/// What was found of one mirror.
pub(super) struct View {
    pub(super) name: String,
    pub(super) report: Report,
    local: String,
}

impl View {
    pub(super) fn new(mirror: &Mirror, report: Report) -> View {
        let local = mirror.local.display().to_string();
        View { name: mirror.name.clone(), report, local }
    }

    /// Groups of paths, each with what to do about it, and the sum.
    pub(super) fn to_text(&self) -> String {
        let report = &self.report;
        let mut lines = Vec::new();
        if let Some(message) = &report.root {
            return format!("{}: nothing was compared: {message}", self.name);
        }
        for group in GROUPS {
            let words = group.kinds;
            let told: Vec<_> = report
                .differs
                .listed
                .iter()
                .filter(|told| words.contains(&told.what.as_str()))
                .collect();
            if told.is_empty() {
                continue;
            }
            lines.push(format!("{}: {}", self.name, group.title));
            for told in told {
                lines.push(format!("    {}{}", output::below(&told.path), detail(&told.what)));
            }
            if let Some(hint) = group.hint {
                lines.push(format!("    -> {}", hint.replace("{local}", &self.local)));
            }
        }
        if report.differs.more() > 0 {
            lines.push(format!(
                "{}: and {}, not listed here; the next `smh-mirror verify` finds what is left when these are repaired",
                self.name,
                counted(report.differs.more(), "more difference")
            ));
        }
        self.examples(&mut lines, "could not be compared", &report.unknown, |_| None);
        self.examples(&mut lines, "not mirrored yet", &report.waits, |what| {
            Some(waits(what).to_owned())
        });
        self.examples(
            &mut lines,
            "in the library only, which is no fault",
            &report.extra,
            |what| Some(extra(what).to_owned()),
        );
        if let Some((class, message)) = &report.stopped {
            let nothing = report.files + report.directories == 0;
            let known = if nothing { "nothing was compared" } else { "nothing more is known" };
            lines.push(format!("{}: {known}: {}", self.name, stopped(*class, message)));
            if nothing {
                return lines.join("\n");
            }
        }
        lines.push(self.sum());
        lines.join("\n")
    }

    fn examples<T: Copy>(
        &self,
        lines: &mut Vec<String>,
        title: &str,
        list: &Listed<T>,
        say: impl Fn(T) -> Option<String>,
    ) {
        if list.total == 0 {
            return;
        }
        lines.push(format!("{}: {title}", self.name));
        for told in list.listed.iter().take(EXAMPLES) {
            let said: Vec<String> = say(told.what).into_iter().chain(told.note.clone()).collect();
            lines.push(format!("    {}: {}", output::below(&told.path), said.join(": ")));
        }
        let more = list.total.saturating_sub(EXAMPLES as u64);
        if more > 0 {
            lines.push(format!("    and {more} more"));
        }
    }

    fn sum(&self) -> String {
        let report = &self.report;
        let read = match report.read_bytes {
            0 => String::new(),
            bytes => format!(", {} of them read", output::bytes(bytes)),
        };
        let mut sums =
            vec![format!("{} equal ({}{read})", report.equal, output::bytes(report.equal_bytes))];
        for (count, one, many) in [
            (report.differs.total, "differs", "differ"),
            (report.unknown.total, "not known", "not known"),
            (report.waits.total, "waits", "wait"),
            (report.left_out, "left out", "left out"),
            (report.extra.total, "in the library only", "in the library only"),
        ] {
            if count > 0 {
                sums.push(format!("{count} {}", if count == 1 { one } else { many }));
            }
        }
        format!(
            "{}: {} and {} compared: {}",
            self.name,
            counted(report.files, "file"),
            counted(report.directories, "folder"),
            sums.join(", ")
        )
    }

    /// The object of a mirror.
    pub(super) fn to_json(&self) -> Value {
        let report = &self.report;
        json!({
            "name": self.name,
            "equal": report.is_equal(),
            "root": report.root,
            "stopped": report.stopped.as_ref().map(|(class, message)| json!({
                "class": class.as_str(), "message": message,
            })),
            "compared": {
                "files": report.files,
                "folders": report.directories,
                "read_bytes": report.read_bytes,
            },
            "counts": {
                "equal": report.equal,
                "equal_bytes": report.equal_bytes,
                "differences": report.differs.total,
                "waiting": report.waits.total,
                "unknown": report.unknown.total,
                "left_out": report.left_out,
                "extra": report.extra.total,
            },
            "differences": entries(&report.differs, |what| {
                (what.as_str(), Some(message(what)), Some(what.is_repairable()))
            }),
            "waiting": entries(&report.waits, |what| (what.as_str(), Some(waits(*what).to_owned()), None)),
            "unknown": entries(&report.unknown, |why| (why_word(*why), None, None)),
            "extra": entries(&report.extra, |what| (what.as_str(), Some(extra(*what).to_owned()), None)),
        })
    }
}

/// The code that fits what was found of all mirrors, the worst first.
pub(super) fn exit(views: &[View]) -> Exit {
    const WORST_FIRST: [Exit; 8] = [
        Exit::Incomplete,
        Exit::Refused,
        Exit::Unreachable,
        Exit::Held,
        Exit::Permission,
        Exit::Unexpected,
        Exit::NotCurrent,
        Exit::Done,
    ];
    let found: Vec<Exit> = views.iter().map(|view| exit_of(&view.report)).collect();
    WORST_FIRST.into_iter().find(|exit| found.contains(exit)).unwrap_or(Exit::Done)
}

fn exit_of(report: &Report) -> Exit {
    if report.differs.total > 0 {
        return Exit::Incomplete;
    }
    if let Some((class, _)) = &report.stopped {
        return exit_of_class(*class);
    }
    if report.root.is_some() {
        return Exit::Held;
    }
    let why = |told: &Told<Why>| match told.what {
        Why::Service(class) => exit_of_class(class),
        Why::Local => Exit::Permission,
        Why::Untold => Exit::Unexpected,
    };
    if let Some(exit) = report.unknown.listed.first().map(why) {
        return exit;
    }
    // Failed, and waits for somebody: as after a pass.
    if report.blocked > 0 {
        return Exit::Incomplete;
    }
    if report.waits.total > 0 { Exit::NotCurrent } else { Exit::Done }
}

fn exit_of_class(class: Class) -> Exit {
    match class {
        Class::Offline | Class::Transient | Class::Throttled => Exit::Unreachable,
        Class::Auth => Exit::Refused,
        Class::Quota | Class::Stale | Class::Permanent | Class::Local | Class::Defect => {
            Exit::Unexpected
        }
    }
}

/// Differences that are told together.
struct Group {
    kinds: &'static [&'static str],
    title: &'static str,
    hint: Option<&'static str>,
}

const GROUPS: &[Group] = &[
    Group {
        kinds: &["rotten"],
        title: "changed on this disk without a trace: damaged, or written with its times put back",
        hint: Some(
            "look at the file. Is it right, `touch` it below {local} and it is sent; is it damaged, put the copy of the library in its place. Until then it is left alone",
        ),
    },
    Group { kinds: &["missing"], title: "missing in the library", hint: None },
    Group { kinds: &["directory-missing"], title: "folders missing in the library", hint: None },
    Group { kinds: &["size", "content"], title: "other content in the library", hint: None },
    Group {
        kinds: &["directory-in-the-way", "file-in-the-way"],
        title: "something else in its place in the library",
        hint: Some("move it away in the library, then repair: nothing there is deleted for you"),
    },
    Group {
        kinds: &["changed", "unseen"],
        title: "not mirrored, and no daemon works that would notice",
        hint: Some(
            "start the daemon with `smh-mirror run`, or make one pass with `smh-mirror sync`",
        ),
    },
];

/// What stands behind the path of a difference.
fn detail(difference: &Difference) -> String {
    match difference {
        Difference::DirectoryInTheWay | Difference::FileInTheWay => {
            format!(": {}", message(difference))
        }
        _ => format!(" ({})", message(difference)),
    }
}

/// A difference in words.
fn message(difference: &Difference) -> String {
    match difference {
        Difference::Missing { size, confirmed_at_ms } => {
            format!("{} were confirmed at {}", output::bytes(*size), output::time(*confirmed_at_ms))
        }
        Difference::Size { here, there } => {
            format!(
                "{} {} confirmed, {} {} there",
                counted(*here, "byte"),
                verb(*here, "was", "were"),
                counted(*there, "byte"),
                verb(*there, "is", "are")
            )
        }
        Difference::Content { here, there } => {
            format!("crc64 {here} was confirmed, {there} is there")
        }
        Difference::DirectoryInTheWay => "a folder of that name is there".to_owned(),
        Difference::FileInTheWay => "a file of that name is there".to_owned(),
        Difference::DirectoryMissing { files: 0, .. } => "no file in it was mirrored".to_owned(),
        Difference::DirectoryMissing { files, bytes } => {
            format!("with {}, {}", counted(*files, "file"), output::bytes(*bytes))
        }
        Difference::Rotten { copy_is_good: true } => {
            "the copy in the library is still what was mirrored".to_owned()
        }
        Difference::Rotten { copy_is_good: false } => {
            "the copy in the library is not what was mirrored either".to_owned()
        }
        Difference::Changed => "changed since it was mirrored".to_owned(),
        Difference::Unseen => "never seen".to_owned(),
    }
}

fn waits(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Unseen => "the daemon has not seen it yet",
        Waiting::Changed => "it changed, and the daemon has not seen that yet",
        Waiting::Pending => "it waits to be mirrored",
        Waiting::Blocked => "it is blocked, see `smh-mirror errors`",
        Waiting::UnderWay => "it changed while it was compared; the daemon looks after it",
    }
}

fn extra(extra: Extra) -> &'static str {
    match extra {
        Extra::Gone => "the copy of what is gone here",
        Extra::LeftOut => "what is left out here",
        Extra::Stranger => "not put there by this mirror",
    }
}

fn why_word(why: Why) -> &'static str {
    match why {
        Why::Service(class) => class.as_str(),
        Why::Local => "local",
        Why::Untold => "untold",
    }
}

fn stopped(class: Class, message: &str) -> String {
    match class {
        Class::Auth => format!(
            "the service refuses the credentials: {message}; check library_id and [remote.auth], and see `smh-mirror doctor`"
        ),
        _ => format!(
            "the service cannot be reached: {message}; check the network, and see `smh-mirror doctor`"
        ),
    }
}

fn entries<T>(
    list: &Listed<T>,
    say: impl Fn(&T) -> (&'static str, Option<String>, Option<bool>),
) -> Vec<Value> {
    let one = |told: &Told<T>| {
        let (kind, message, repairable) = say(&told.what);
        let mut value = json!({"kind": kind});
        put_path(&mut value, &told.path);
        if let Some(object) = value.as_object_mut() {
            // What the journal or the service said is more than our own words for it.
            let message = told.note.clone().or(message);
            object.insert("message".into(), message.into());
            if let Some(repairable) = repairable {
                object.insert("repairable".into(), repairable.into());
            }
        }
        value
    };
    list.listed.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relpath::RelPath;

    fn view(change: impl FnOnce(&mut Report)) -> View {
        let mut report = Report::default();
        change(&mut report);
        View { name: "m".into(), report, local: "/m".into() }
    }

    fn unknown(report: &mut Report, why: Why) {
        let told = Told { path: RelPath::root(), what: why, note: Some("no".into()) };
        report.unknown.total += 1;
        report.unknown.listed.push(told);
    }

    #[test]
    fn the_worst_of_all_mirrors_is_the_exit_code() {
        let of = |change: fn(&mut Report)| exit(&[view(|_| ()), view(change)]);
        assert_eq!(of(|_| ()), Exit::Done);
        assert_eq!(of(|report| report.extra.total = 1), Exit::Done);
        assert_eq!(of(|report| report.waits.total = 1), Exit::NotCurrent);
        let blocked = |report: &mut Report| {
            report.waits.total = 1;
            report.blocked = 1;
        };
        assert_eq!(of(blocked), Exit::Incomplete);
        assert_eq!(of(|report| report.differs.total = 1), Exit::Incomplete);
        assert_eq!(of(|report| report.root = Some("gone".into())), Exit::Held);
        assert_eq!(of(|report| unknown(report, Why::Untold)), Exit::Unexpected);
        assert_eq!(of(|report| unknown(report, Why::Local)), Exit::Permission);
        assert_eq!(of(|report| unknown(report, Why::Service(Class::Transient))), Exit::Unreachable);
        let offline = |report: &mut Report| report.stopped = Some((Class::Offline, "no".into()));
        assert_eq!(of(offline), Exit::Unreachable);
        let refused = |report: &mut Report| report.stopped = Some((Class::Auth, "no".into()));
        assert_eq!(exit(&[view(offline), view(refused)]), Exit::Refused);
        // What differs is certain, whatever else could not be asked.
        let both = |report: &mut Report| {
            report.stopped = Some((Class::Offline, "no".into()));
            report.differs.total = 1;
        };
        assert_eq!(of(both), Exit::Incomplete);
    }

    #[test]
    fn what_is_not_known_is_never_summed_up_as_equal() {
        let text = view(|report| unknown(report, Why::Local)).to_text();
        assert!(text.contains("could not be compared\n    the folder itself: no"), "{text}");
        assert!(text.contains("0 equal (0 B), 1 not known"), "{text}");
        let text = view(|report| report.root = Some("it is gone".into())).to_text();
        assert_eq!(text, "m: nothing was compared: it is gone");
    }
}
