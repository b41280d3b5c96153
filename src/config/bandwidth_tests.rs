//! What a limit means at every moment, on days on which the clocks are set too.

use proptest::prelude::*;

use super::*;

/// The clocks of central Europe, without the files of the machine.
fn europe() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn kib(rate: u64) -> Rate {
    NonZeroU64::new(rate << 10)
}

fn limit(text: &str) -> BandwidthLimit {
    BandwidthLimit::parse(text).unwrap()
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn limits_are_read_and_written() {
    for (text, written) in [
        ("0", "0"),
        ("off", "0"),
        ("2MiB/s", "2MiB/s"),
        (" 2MiB ", "2MiB/s"),
        ("1500", "1500/s"),
        ("19:00 off,8:00 2MiB/s", "08:00 2MiB/s, 19:00 off"),
        ("00:00 1KiB", "00:00 1KiB/s"),
        ("08:00 0, 09:30  64 KiB/s", "08:00 off, 09:30 64KiB/s"),
    ] {
        assert_eq!(limit(text).to_string(), written, "{text}");
        assert_eq!(limit(written), limit(text), "{written}");
    }
    for text in [
        "",
        "fast",
        "-1",
        "1.5MiB",
        "2MiB/h",
        "2MiBs",
        "100",
        "08:00",
        "08:00,",
        "24:00 off",
        "8:5 off",
        "08:60 off",
        "08:00 off, 8:00 2MiB",
        "08:00 off 19:00 2MiB",
        "+8:00 off",
        "2MiB, 08:00 off",
        "08:00:00 off",
    ] {
        let wrong = BandwidthLimit::parse(text).unwrap_err();
        assert!(wrong.contains("; write") || wrong.contains("; remove"), "{text}: {wrong}");
    }
}

#[test]
fn the_last_change_of_a_day_holds_over_midnight() {
    let limit = limit("08:00 2KiB, 19:00 off");
    for (at, rate, until) in [
        ("2026-11-25T00:00:00Z", None, "2026-11-25T08:00:00Z"),
        ("2026-11-25T07:59:59.999Z", None, "2026-11-25T08:00:00Z"),
        ("2026-11-25T08:00:00Z", kib(2), "2026-11-25T19:00:00Z"),
        ("2026-11-25T18:59:59Z", kib(2), "2026-11-25T19:00:00Z"),
        ("2026-11-25T19:00:00Z", None, "2026-11-26T08:00:00Z"),
    ] {
        let expected = InForce { rate, until_ms: Some(ms(until)) };
        assert_eq!(limit.at(ms(at), &TimeZone::UTC), expected, "{at}");
    }
}

#[test]
fn what_never_changes_has_no_end() {
    for text in ["2KiB", "08:00 2KiB", "08:00 2KiB, 19:00 2KiB"] {
        let expected = InForce { rate: kib(2), until_ms: None };
        assert_eq!(limit(text).at(ms("2026-11-25T07:00:00Z"), &TimeZone::UTC), expected, "{text}");
    }
}

#[test]
fn a_time_that_the_clocks_skip_comes_when_they_are_set() {
    // In the night of 29 March 2026 the clocks go from 02:00 to 03:00, at 01:00 UTC.
    let limit = limit("01:30 1KiB, 02:15 2KiB, 02:45 3KiB, 03:30 4KiB");
    for (at, rate, until) in [
        ("2026-03-29T00:30:00Z", kib(1), "2026-03-29T01:00:00Z"),
        // Both skipped times came in this moment; the later one holds.
        ("2026-03-29T01:00:00Z", kib(3), "2026-03-29T01:30:00Z"),
        ("2026-03-29T01:30:00Z", kib(4), "2026-03-29T23:30:00Z"),
    ] {
        let expected = InForce { rate, until_ms: Some(ms(until)) };
        assert_eq!(limit.at(ms(at), &europe()), expected, "{at}");
    }
}

#[test]
fn a_time_that_the_clocks_show_twice_comes_once() {
    // In the night of 25 October 2026 the clocks go from 03:00 back to 02:00, at 01:00 UTC.
    let limit = limit("02:30 1KiB, 03:00 2KiB");
    for (at, rate, until) in [
        ("2026-10-25T00:29:59Z", kib(2), "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:30:00Z", kib(1), "2026-10-25T02:00:00Z"),
        // 02:10 for the second time.
        ("2026-10-25T01:10:00Z", kib(1), "2026-10-25T02:00:00Z"),
        ("2026-10-25T02:00:00Z", kib(2), "2026-10-26T01:30:00Z"),
    ] {
        let expected = InForce { rate, until_ms: Some(ms(until)) };
        assert_eq!(limit.at(ms(at), &europe()), expected, "{at}");
    }
}

fn timetables() -> impl Strategy<Value = BandwidthLimit> {
    proptest::collection::btree_map(0_u32..24 * 60, 0_u64..4, 1..6).prop_map(|changes| {
        let changes = changes.into_iter().map(|(minute, rate)| {
            let rate = if rate == 0 { "off".to_owned() } else { format!("{rate}KiB/s") };
            format!("{:02}:{:02} {rate}", minute / 60, minute % 60)
        });
        limit(&changes.collect::<Vec<_>>().join(", "))
    })
}

/// The years 2020 to 2030.
const MOMENTS: std::ops::Range<i64> = 1_577_836_800_000..1_893_456_000_000;

proptest! {
    #[test]
    fn what_is_written_reads_back(limit in timetables()) {
        prop_assert_eq!(BandwidthLimit::parse(&limit.to_string()), Ok(limit));
    }

    /// The present one is that of the clock on the wall, unless that was set today.
    #[test]
    fn the_clock_on_the_wall_decides(limit in timetables(), at in MOMENTS) {
        let zone = europe();
        let now = Timestamp::from_millisecond(at).unwrap();
        let wall = zone.to_datetime(now);
        let offset = |at: DateTime| zone.to_offset(zone.to_timestamp(at).unwrap());
        let midnight = wall.date().to_datetime(Time::midnight());
        prop_assume!(offset(midnight) == offset(midnight.checked_add(1.day()).unwrap()));
        let BandwidthLimit::Daily(changes) = &limit else { panic!("a timetable") };
        let begun = changes.iter().rev().find(|change| change.at <= wall.time());
        let expected = begun.or(changes.last()).unwrap().rate;
        prop_assert_eq!(limit.at(at, &zone).rate, expected);
    }

    /// Until the next change nothing changes, and then something does.
    #[test]
    fn a_limit_holds_until_its_end(limit in timetables(), at in MOMENTS, part in 0.0..1.0_f64) {
        let zone = europe();
        let now = limit.at(at, &zone);
        let Some(until) = now.until_ms else { return Ok(()) };
        prop_assert!(until > at && until - at <= 49 * 3_600_000);
        let between = at + ((until - 1 - at) as f64 * part) as i64;
        prop_assert_eq!(limit.at(between, &zone), now);
        prop_assert_eq!(limit.at(until - 1, &zone), now);
        prop_assert_ne!(limit.at(until, &zone).rate, now.rate);
    }
}
