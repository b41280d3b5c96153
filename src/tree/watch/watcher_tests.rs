use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;

use super::*;

/// A folder that is watched with all its directories.
struct Bench {
    _tmp: tempfile::TempDir,
    root: PathBuf,
    watcher: Watcher,
    runtime: tokio::runtime::Runtime,
}

fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes().to_vec())
}

impl Bench {
    fn new(dirs: &[&str]) -> Bench {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("root");
        fs::create_dir(&root).unwrap();
        let watcher = Watcher::new(Clock::start(), std::slice::from_ref(&root)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bench = Bench { _tmp: tmp, root, watcher, runtime };
        bench.watcher.begin_scan(0, Wish::All);
        assert_eq!(bench.watch(""), Watching::Begun);
        for dir in dirs {
            fs::create_dir(bench.root.join(dir)).unwrap();
            assert_eq!(bench.watch(dir), Watching::Begun);
        }
        // What the making of them caused.
        let _ = bench.until(|heard| dirs.iter().all(|dir| heard.contains(&rel(dir))));
        bench
    }

    fn watch(&self, path: &str) -> Watching {
        let dir = fs::File::open(rel(path).below(&self.root)).unwrap();
        self.watcher.watch(0, &rel(path), dir.as_fd(), Wish::All)
    }

    /// Takes hints until they are as they should be.
    fn until(&self, good: impl Fn(&BTreeSet<RelPath>) -> bool) -> BTreeSet<RelPath> {
        let hints = self.watcher.hints();
        let mut all = BTreeSet::new();
        self.runtime.block_on(async {
            while !good(&all) {
                let soon = std::time::Duration::from_secs(20);
                let news = tokio::time::timeout(soon, hints.take()).await;
                let news = news.unwrap_or_else(|_| panic!("only {all:?} was heard"));
                assert!(!news.lost);
                all.extend(news.paths.into_iter().map(|(_, path)| path));
            }
        });
        all
    }

    fn until_heard(&self, path: &str) {
        self.until(|heard| heard.contains(&rel(path)));
    }
}

#[test]
fn a_write_is_heard_and_a_read_is_not() {
    let bench = Bench::new(&["d"]);
    fs::write(bench.root.join("d/f"), "x").unwrap();
    bench.until_heard("d/f");
    fs::read(bench.root.join("d/f")).unwrap();
    fs::read_dir(bench.root.join("d")).unwrap().count();
    fs::write(bench.root.join("g"), "x").unwrap();
    let heard = bench.until(|heard| heard.contains(&rel("g")));
    assert!(!heard.contains(&rel("d")), "{heard:?}");
}

#[test]
fn a_renamed_directory_is_watched_under_the_name_it_was_listed_by() {
    let bench = Bench::new(&["a"]);
    fs::rename(bench.root.join("a"), bench.root.join("b")).unwrap();
    bench.until(|heard| heard.contains(&rel("a")) && heard.contains(&rel("b")));
    assert_eq!(bench.watcher.count(0), 1);
    assert_eq!(bench.watch("b"), Watching::Begun);
    assert_eq!(bench.watch("b"), Watching::Kept);
    fs::write(bench.root.join("b/f"), "x").unwrap();
    bench.until_heard("b/f");
}

#[test]
fn a_removed_directory_is_not_counted() {
    let bench = Bench::new(&["a"]);
    assert_eq!(bench.watcher.count(0), 2);
    fs::remove_dir(bench.root.join("a")).unwrap();
    bench.until_heard("a");
    assert_eq!(bench.watcher.count(0), 1);
}

#[test]
fn a_root_that_moves_away_and_comes_back_is_heard_of() {
    let bench = Bench::new(&["a"]);
    let away = bench.root.with_file_name("away");
    fs::rename(&bench.root, &away).unwrap();
    bench.until_heard("");
    assert_eq!(bench.watcher.count(0), 0);
    fs::rename(&away, &bench.root).unwrap();
    bench.until_heard("");
}

#[test]
fn what_is_left_out_is_given_back() {
    let bench = Bench::new(&["a", "a/b", "c"]);
    bench.watcher.unwatch(0, &rel("a"));
    assert_eq!(bench.watcher.count(0), 2);
    let all_given_back = || {
        let table = bench.watcher.shared.table();
        table.held() == 2 + table.anchored()
    };
    while !all_given_back() {
        std::thread::yield_now();
    }
    fs::write(bench.root.join("a/b/f"), "x").unwrap();
    fs::write(bench.root.join("c/f"), "x").unwrap();
    let heard = bench.until(|heard| heard.contains(&rel("c/f")));
    assert!(!heard.contains(&rel("a/b/f")));
}

#[test]
fn a_watcher_that_nobody_wants_lets_its_thread_go() {
    let bench = Bench::new(&[]);
    let shared = Arc::downgrade(&bench.watcher.shared);
    drop(bench);
    while shared.strong_count() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn what_touches_a_tree() {
    let root = Path::new("/srv/docs");
    assert_eq!(touched(Path::new("/srv/docs/a/b"), root), Some(rel("a/b")));
    assert_eq!(touched(Path::new("/srv/docs"), root), Some(rel("")));
    assert_eq!(touched(Path::new("/srv"), root), Some(rel("")));
    assert_eq!(touched(Path::new("/srv/docs2"), root), None);
    assert_eq!(touched(Path::new("/proc"), root), None);
}
