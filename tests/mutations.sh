#!/bin/sh
# The mutation check: breaks the program on purpose, one place at a time, and runs the test that has to notice.
# Ends with 1 when a mutation survives, with 2 when the check itself no longer fits the sources.
#
#   tests/mutations.sh            all of them
#   tests/mutations.sh NAME…      those whose name holds one of the words
#
# Works on a copy; the tree is not touched. CARGO_TARGET_DIR is used when it is set: dependencies are built once.
# What CARGO_TARGET_DIR holds of this package is overwritten, so do not build or test there meanwhile.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 2' HUP INT TERM
# With the time of now (m): what an earlier run left in CARGO_TARGET_DIR must not pass for the present sources.
(cd "$here" && tar cf - --exclude ./target --exclude ./.git .) | (cd "$copy" && tar xmf -)
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target/mutations}
export CARGO_TARGET_DIR
wanted="$*"
survivors=
log=$copy/log

fail() {
    echo "$*" >&2
    exit 2
}

# Whether this mutation was asked for.
is_wanted() {
    [ -n "$wanted" ] || return 0
    for word in $wanted; do
        case $1 in *"$word"*) return 0 ;; esac
    done
    return 1
}

# Writes file $1 with the text in SEARCH, which must stand there once, replaced by the text in REPLACE.
replaced() {
    awk -v file="$1" 'BEGIN {
        search = ENVIRON["SEARCH"]; replace = ENVIRON["REPLACE"]
        while ((getline line < file) > 0) text = text line "\n"
        at = index(text, search)
        if (at == 0) exit 3
        rest = substr(text, at + length(search))
        if (index(rest, search) != 0) exit 4
        printf "%s%s%s", substr(text, 1, at - 1), replace, rest
    }'
}

# Runs the tests that the arguments of cargo test in $1 name. Nothing that runs is no test.
tests_pass() {
    # shellcheck disable=SC2086
    (cd "$copy" && cargo test -q -j1 $1) >"$log" 2>&1 || return 1
    grep -Eq 'test result: ok\. [1-9][0-9]* passed' "$log" || fail "no test fits: cargo test $1"
}

# mutate NAME FILE SEARCH REPLACE TESTS
mutate() {
    is_wanted "$1" || return 0
    name=$1 file=$copy/$2 tests=$5
    SEARCH=$3 REPLACE=$4
    export SEARCH REPLACE
    cp "$file" "$copy/original"
    replaced "$copy/original" >"$file" ||
        fail "$name: the text to replace does not stand exactly once in $2"
    # shellcheck disable=SC2086
    (cd "$copy" && cargo test -q -j1 --no-run ${tests%% -- *}) >"$log" 2>&1 || {
        cat "$log" >&2
        fail "$name: does not compile"
    }
    if tests_pass "$tests"; then
        echo "NOT CAUGHT  $name  (cargo test $tests)"
        survivors="$survivors $name"
    else
        echo "caught      $name"
    fi
    cp "$copy/original" "$file"
}

# A test that fails anyway would catch everything.
baseline() {
    is_wanted "$1" || return 0
    tests_pass "$5" || {
        cat "$log" >&2
        fail "$1: its test fails without the mutation: cargo test $5"
    }
}

mutations() {
    do=$1

    $do second-look src/tree/read.rs \
        '            if left == 0 || left % CHECK_EVERY < want as u64 {
                self.check()?;
            }' '' \
        '--lib tree::read_tests'

    $do blind-to-ctime src/tree/entry.rs \
        'ctime_ns: if stable { ns(stat.st_ctime, stat.st_ctime_nsec) } else { mtime_ns },' \
        'ctime_ns: mtime_ns,' \
        '--test it other_bytes_of_the_same_size_and_time'

    $do away-and-back-is-known src/tree/watch/table.rs \
        '!broken && self.is_watched(tree, path)' \
        '{ let _ = broken; self.is_watched(tree, path) }' \
        '--lib tree::watch::table'

    $do touched-with-new-rights-is-known src/mirror/engine/looks.rs \
        'Some(state) => Ok(!work.turn.cannot_read_all(state.id)?),' \
        'Some(_) => Ok(true),' \
        '--lib mirror::engine::tests::seeing'

    $do strain-is-nothing src/mirror/limiter.rs \
        '        self.untried = false;
        self.halve(now_ms);' '        let _ = now_ms;' \
        '--lib mirror::engine::tests::limiting'

    $do confirmed-is-what-is-seen src/journal/files.rs \
        '.filter(|print| *print != file.seen)' '.filter(|_| false)' \
        '--lib journal::files'

    $do scraped-once-and-for-all src/service/metrics/known.rs \
        'Some((then, known)) if then == version => known,' \
        'Some((_, known)) => known,' \
        '--lib service::metrics::known'

    $do key-not-written src/mirror/engine/transfers.rs \
        'Some(Note::Started { confirm_key, expires_at_ms, part_size }) => {' \
        'Some(Note::Started { .. }) if work.now.unix_ms > 0 => {}
            Some(Note::Started { confirm_key, expires_at_ms, part_size }) => {' \
        '--test it a_crash_at_each_stage'

    $do key-not-read src/mirror/engine/transfers.rs \
        'let upload = work.turn.upload(&row.id)?;' \
        'let upload: Option<UploadRow> = None;' \
        '--test it a_crash_at_each_stage'

    $do posted-not-written src/mirror/engine/transfers.rs \
        'work.turn.upload_posted(&active.entry, full_hash, crc64)?;' \
        'let _ = (full_hash, crc64);' \
        '--test it what_was_posted_before_a_crash_is_kept'

    $do failed-confirm-is-success src/mirror/transfer/confirming.rs \
        '            // Everything else passes: the key stays in the journal, the content on COS.
            _ => Decision::end(End::Failed(failure)),' \
        '            _ => Decision::over(synced(sent, how)),' \
        '--test it one_poison_file'

    $do permanent-is-retried src/mirror/engine/endings.rs \
        'Class::Permanent | Class::Local => true,' \
        'Class::Permanent | Class::Local => false,' \
        '--test it a_refused_file_is_named'

    $do crc64-of-the-library src/mirror/transfer/confirming.rs \
        'if crc64 == sent.crc64 && size.is_none_or(|size| size == sent.size) =>' \
        'if crc64 == crc64 && size.is_none_or(|size| size == sent.size) =>' \
        '--test it other_content_than_was_sent'

    $do crc64-of-the-bucket src/mirror/transfer/mod.rs \
        'crc64.filter(|theirs| *theirs != digest.crc64)' \
        'crc64.filter(|theirs| *theirs != *theirs)' \
        '--test it other_content_than_was_sent'

    $do confirmed-is-trusted src/mirror/transfer/mod.rs \
        'confirmed: known.confirmed.filter(|_| !known.unsure),' \
        'confirmed: known.confirmed,' \
        '--lib mirror::transfer'

    $do any-path-is-right src/mirror/transfer/confirming.rs \
        'if path != self.target {' \
        'if path.is_empty() {' \
        '--test it a_copy_under_another_name'

    $do no-path-is-right src/mirror/transfer/confirming.rs \
        'let Some(path) = reply.path else {' \
        'let Some(path) = reply.path.or_else(|| Some(self.target.clone())) else {' \
        '--lib mirror::transfer'

    $do content-is-not-limited src/mirror/limiter.rs \
        'self.calls.slots(now_ms).min(self.content.slots(now_ms))' \
        'self.calls.slots(now_ms)' \
        '--lib mirror::limiter'

    $do whole-is-not-looked-at-again src/tree/read.rs \
        '        digester.update(&all);
        self.check()?;' \
        '        digester.update(&all);' \
        '--lib tree::read_tests'

    $do failed-listing-is-empty src/mirror/shell/remote.rs \
        '                Err(failure) => Err(failure),
            };' \
        '                Err(_) => Ok(RemoteListing::Nothing),
            };' \
        '--test it a_listing_that_fails'

    $do unreadable-folder-is-empty src/mirror/shell/local.rs \
        'self.report_blocking(Fact::ListFailed { mirror, dir: dir.clone(), why });' \
        'let _ = why;
            let (entries, last) = (Vec::new(), true);
            let watched = Watching::No;
            self.report_blocking(Fact::Page { mirror, dir: dir.clone(), entries, last, watched });' \
        '--test it a_folder_that_cannot_be_read'

    $do nothing-is-cancelled src/mirror/transfer/mod.rs \
        'self.state = State::Ending(last);
        Decision::step(Step::Cancel { confirm_key })' \
        'let _ = confirm_key;
        Decision::over(last)' \
        '--lib mirror::transfer'

    $do gate-never-closes src/mirror/gate.rs \
        'Judgement { blame, closed: why.and_then(|why| self.close(why, now_ms)) }' \
        'Judgement { blame, closed: why.filter(|_| now_ms < 0).and_then(|why| self.close(why, now_ms)) }' \
        '--test it every_start_is_answered_with_an_error'

    $do waits-are-forgotten src/mirror/backoff.rs \
        'jittered.max(first / 2).max(retry_after.map_or(0, to_ms))' \
        'jittered.min(first / 500).max(retry_after.map_or(0, to_ms))' \
        '--test it one_poison_file'

    $do stuck-is-not-said src/service/daemon.rs \
        'prepared.lock.set_stuck(true)' \
        'prepared.lock.set_stuck(false)' \
        '--test it a_locked_journal_is_waited_for'

    $do new-configuration-is-not-looked-at src/service/reload.rs \
        'check(&new, clock)' \
        'Ok::<(), String>(())' \
        '--test it a_wrong_configuration_is_refused'

    $do full-disk-is-the-end src/journal/error.rs \
        'matches!(self, JournalError::Busy | JournalError::Disk(_))' \
        'matches!(self, JournalError::Busy)' \
        '--test it a_full_state_disk'

    $do damage-is-not-looked-for src/journal/open.rs \
        'if verdict == "ok" { Ok(()) } else { Err(JournalError::Damaged(verdict)) }' \
        'if verdict.is_empty() { Err(JournalError::Damaged(verdict)) } else { Ok(()) }' \
        '--test it a_journal_damaged_anywhere'

    $do left-out-is-gone src/mirror/engine/observe.rs \
        'self.dir_left_out(work, index, row)?;' \
        'self.dir_absent(work, index, row)?;' \
        '--test it rules_count_as_soon_as'

    $do rules-do-not-rest src/mirror/engine/observe.rs \
        'let row = if known { row } else { rested_rules(row, state) };' \
        'let _ = (known, rested_rules);' \
        '--test it rules_that_are_being_written'

    $do listing-ends-at-an-error src/tree/list.rs \
        'let entry = entry.map_err(unreadable)?;' \
        'let Ok(entry) = entry else { break };' \
        '--test it an_error_of_the_disk'

    $do what-is-no-file-is-opened src/tree/way.rs \
        'if type_of != FileType::RegularFile {' \
        'if type_of == FileType::Unknown {' \
        '--test it fifos_sockets_and_devices'

    $do behind-a-link-is-gone src/tree/way.rs \
        'Absent::Unreadable("a link that is not followed stands on the way".to_owned())' \
        'Absent::Gone' \
        '--lib tree::way_tests'

    $do mounts-go-round src/tree/way.rs \
        'self.root.is_stable() && self.marks.contains(&mark)' \
        'self.root.is_stable() && self.marks.len() > 30 && self.marks.contains(&mark)' \
        '--test it a_folder_that_is_mounted_below_itself'

    $do token-is-repeated src/smh/reply.rs \
        'if let Some(at) = kept.find("access_token=") {' \
        'if let Some(at) = kept.find("no such word") {' \
        '--test it a_secret_that_the_service_says'

    $do lenient-names src/tree/names.rs \
        '(possible && remote_name(rule, &name).as_deref() == Some(remote)).then_some(name)' \
        'possible.then_some(name)' \
        '--test it a_copy_under_a_name_that_nothing'

    $do escapes-are-not-escaped src/tree/names.rs \
        "'%' => byte_of(rest).is_some()," \
        "'%' => false," \
        '--lib tree::names'

    $do names-are-no-target src/config/types.rs \
        'Names::Escape => "//names=escape",' \
        'Names::Escape => "",' \
        '--test it another_way_of_writing_names'

    $do replaced-copy-is-trusted src/mirror/engine/transfers.rs \
        'if let Some(path) = elsewhere' \
        'if let Some(path) = elsewhere.filter(|path| path.is_empty())' \
        '--lib a_copy_that_was_replaced'

    $do overflow-is-not-minded src/tree/watch/table.rs \
        'return Heard { hints: Vec::new(), lost: true };' \
        'return Heard { hints: Vec::new(), lost: false };' \
        '--test it an_overflow_is_healed'

    $do budget-is-all src/tree/watch/budget.rs \
        'Budget { most: free / 2 }' \
        'Budget { most: free }' \
        '--test it beyond_the_budget'

    $do mounts-are-not-minded src/tree/watch/reader.rs \
        'if mounts_changed {' \
        'if mounts_changed && self.failures > 0 {' \
        '--test it mounted'

    $do way-is-not-watched src/tree/watch/mod.rs \
        'table.set_anchors(tree, watched);' \
        'let _: Vec<(i32, Vec<u8>)> = watched;' \
        '--test it a_link_on_the_way'

    $do polled-is-forgotten src/mirror/engine/polls.rs \
        'self.next_at_ms.get_or_insert(at_ms);' \
        'let _ = at_ms;' \
        '--test it beyond_the_budget'

    $do own-token-is-repeated src/smh/error.rs \
        'if secret.is_empty() {' \
        'if secret.len() < 1_000 {' \
        '--test it a_secret_that_the_service_says'

    $do brakes-are-never-on src/mirror/brakes.rs \
        '(planned > 1 && (over_files || over_share))' \
        '(planned > 1 && over_files && over_share && all == 0)' \
        '--test it too_many_at_once'

    $do foreign-is-ours src/smh/remove.rs \
        'found.size != Some(size) || found.crc64 != Some(crc64)' \
        'found.size.is_none() || found.crc64.is_none() || (size, crc64) == (1, 1)' \
        '--test it what_is_not_ours'

    $do looking-alike-is-enough src/mirror/transfer/mod.rs \
        'filter(|source| is(&source.confirmed))' \
        'filter(|source| is(&source.confirmed) || digest.size > 0)' \
        '--lib only_the_content_proves'

    $do inode-is-proof src/journal/moves.rs \
        'if same {' \
        'if same || new.0 > 0 {' \
        '--lib journal::moves'

    $do unmounted-is-gone src/mirror/engine/observe.rs \
        'if !mounted.is_empty() {' \
        'if mounted.len() > 1_000_000 {' \
        '--test it what_lies_on_a_filesystem'

    $do any-name-is-a-name src/mirror/restore/plan.rs \
        'b"." | b".." => Some(' \
        'b"." | b".." if name.is_empty() => Some(' \
        '--test it names_that_lead_elsewhere'

    $do paused-is-sent src/mirror/engine/pause.rs \
        'self.pause.is_some()' \
        'self.pause.is_some_and(|pause| pause.until_ms == Some(i64::MIN))' \
        '--test it a_pause_outlives'

    $do pause-lasts-a-day-longer src/mirror/engine/pause.rs \
        'until_ms <= work.now.unix_ms' \
        'until_ms.saturating_add(86_400_000) <= work.now.unix_ms' \
        '--lib a_pause_ends_by_the_clock'

    $do hooks-see-secrets src/service/hook_process.rs \
        'for variable in SECRET_VARIABLES.iter().chain(&OURS) {' \
        'for variable in SECRET_VARIABLES.iter().chain(&OURS).filter(|name| name.is_empty()) {' \
        '--test it a_hook_that_hangs'

    $do told-again-and-again src/service/alarms.rs \
        '(trouble.count > told.count).then_some(again_ms)' \
        '(trouble.count >= told.count).then_some(lasts_ms)' \
        '--lib service::alarms'

    $do scraped-as-current-too src/service/metrics/gauges.rs \
        'u8::from(state == mirror.state)' \
        'u8::from(state == mirror.state || state == State::Current)' \
        '--test it a_scrape_tells'

    $do scrapes-are-stale src/service/metrics/known.rs \
        'Some((then, known)) if then == version => known,' \
        'Some((then, known)) if then == version || then != 0 => known,' \
        '--lib service::metrics'

    $do same-size-is-equal src/mirror/verify/compare.rs \
        'if there != confirmed.crc64 => {' \
        'if there != confirmed.crc64 && there == here => {' \
        '--test it what_others_did_in_the_library'

    $do bound-is-not-mounted src/tree/way.rs \
        'found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)' \
        'found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) && found.stx_mode == 0' \
        '--test it a_folder_of_the_same_filesystem'

    $do closed-is-nothing src/mirror/engine/closing.rs \
        '!soon || row.seen.size == 0' \
        'soon || row.seen.size == 0' \
        '--test it what_a_map_stores'

    $do names-are-not-missed src/tree/twins.rs \
        'self.scans - names.since < PATIENCE' \
        'self.scans - names.since > PATIENCE + self.scans' \
        '--test it a_name_that_is_made'

    $do taken-away-is-written-on src/journal/write.rs \
        'self.is_in_place()?;' \
        '' \
        '--test it a_journal_taken_away'

    $do made-by-root-for-root src/journal/owner.rs \
        'if made.metadata()?.uid() == owner.uid() {' \
        'if made.metadata()?.uid() != u32::MAX || owner.uid() == 0 {' \
        '--test it what_root'

    $do dry-run-foresees-no-hold src/mirror/engine/mod.rs \
        'if self.settings.dry_run && work.out.finished.is_some() {' \
        'if self.settings.dry_run && work.out.finished.is_some() && self.stopping {' \
        '--test it a_dry_run_ends_as_the_pass'

    $do what-cannot-be-asked-is-not-said src/mirror/verify/mod.rs \
        '                failed(report, dir, error);
                Ok(Listing::Unknown)' \
        '                let _ = (error, failed);
                Ok(Listing::Unknown)' \
        '--test it what_cannot_be_asked'
}

mutations baseline
mutations mutate
if [ -n "$survivors" ]; then
    echo "survived:$survivors"
    exit 1
fi
