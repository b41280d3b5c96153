//! The limit of the bandwidth, the same all day or by the time of day (pure).

use std::fmt;
use std::num::NonZeroU64;

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::error::Wrong;
use super::units;

/// Bytes per second; `None`: as many as there are.
pub type Rate = Option<NonZeroU64>;

/// Less than this is no upload any more: a form would end before the first hundred kilobytes are there.
const LEAST: u64 = 1024;
/// Every quarter of an hour is more than anybody reads.
const MOST_CHANGES: usize = 96;
/// The whole days around today in which the present change, and the next one, are looked for: a zone may leave out a
/// day of the calendar.
const DAYS: std::ops::RangeInclusive<i64> = -2..=2;

/// What all uploads together may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BandwidthLimit {
    /// The same at any time.
    Always(Rate),
    /// By the time of day, in its order, at least one. The last one of a day holds until the first one of the next.
    Daily(Vec<Change>),
}

/// From a time of day on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    at: Time,
    rate: Rate,
}

/// What holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The limit.
    pub rate: Rate,
    /// When it becomes another one, milliseconds since the Unix epoch; `None`: never.
    pub until_ms: Option<i64>,
}

impl BandwidthLimit {
    /// Reads `0`, `off`, `2MiB/s`, `2MiB`, or a timetable like `08:00 2MiB/s, 19:00 off`.
    ///
    /// # Errors
    /// What is wrong with it, and how limits are written.
    pub fn parse(text: &str) -> Result<BandwidthLimit, String> {
        read(text).map_err(|wrong| format!("{}; {}", wrong.what, wrong.next))
    }

    /// What holds at a moment (milliseconds since the Unix epoch) in a time zone.
    ///
    /// A change comes when the clocks on the wall first show its time. A time that they skip in spring comes when they
    /// are set, and one that they show twice in autumn comes once.
    #[must_use]
    pub fn at(&self, unix_ms: i64, zone: &TimeZone) -> InForce {
        let changes = match self {
            BandwidthLimit::Always(rate) => return InForce { rate: *rate, until_ms: None },
            BandwidthLimit::Daily(changes) => changes,
        };
        // Beyond the calendar, what holds at its end.
        let now = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
        let today = zone.to_datetime(now).date();
        let mut rate = changes.last().and_then(|change| change.rate);
        for date in DAYS.filter_map(|day| today.checked_add(day.days()).ok()) {
            for change in changes {
                let Some(moment) = comes(zone, date.to_datetime(change.at)) else { continue };
                if moment <= now {
                    rate = change.rate;
                } else if change.rate != rate {
                    return InForce { rate, until_ms: Some(moment.as_millisecond()) };
                }
            }
        }
        InForce { rate, until_ms: None }
    }
}

/// When the clocks on the wall first show `time`, or go past it.
fn comes(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).ok(),
        AmbiguousOffset::Gap { before, .. } => {
            // Had the clocks not been set, it would be this moment: after they were.
            let unset = before.to_timestamp(time).ok()?;
            let after = unset.checked_add(1.nanosecond()).ok()?;
            zone.preceding(after).next().map(|set| set.timestamp())
        }
    }
}

/// Reads a limit.
pub(super) fn read(text: &str) -> Result<BandwidthLimit, Wrong> {
    if !text.contains(':') {
        return rate(text).map(BandwidthLimit::Always);
    }
    let mut changes = Vec::new();
    for entry in text.split(',') {
        let change = change(entry.trim())?;
        if changes.iter().any(|other: &Change| other.at == change.at) {
            let what = format!("{text:?} names {} twice", change.at.strftime("%H:%M"));
            return Err(Wrong::new(what, "remove one of them"));
        }
        changes.push(change);
    }
    if changes.len() > MOST_CHANGES {
        let what = format!("{} changes a day are too many", changes.len());
        return Err(Wrong::new(what, format!("write at most {MOST_CHANGES}")));
    }
    changes.sort_by_key(|change| change.at);
    Ok(BandwidthLimit::Daily(changes))
}

fn change(entry: &str) -> Result<Change, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("{entry:?} is not a time of day and a limit"),
            "write a timetable as in \"08:00 2MiB/s, 19:00 off\"",
        )
    };
    let (time, limit) = entry.split_once(char::is_whitespace).ok_or_else(wrong)?;
    Ok(Change { at: time_of_day(time).ok_or_else(wrong)?, rate: rate(limit)? })
}

/// `8:00`, `08:00`.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str, len: std::ops::RangeInclusive<usize>| {
        let sane = len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        sane.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(digits(hour, 1..=2)?, digits(minute, 2..=2)?, 0, 0).ok()
}

fn rate(text: &str) -> Result<Rate, Wrong> {
    let text = text.trim();
    if text == "off" {
        return Ok(None);
    }
    let bytes = units::size(text.strip_suffix("/s").unwrap_or(text)).map_err(|wrong| {
        Wrong::new(
            wrong.what,
            "write bytes per second as in \"2MiB/s\", \"off\", or a timetable as in \"08:00 2MiB/s, 19:00 off\"",
        )
    })?;
    if (1..LEAST).contains(&bytes) {
        return Err(Wrong::new(
            format!("{text:?} is too slow to upload anything"),
            "write at least \"1KiB/s\", or \"off\" for no limit",
        ));
    }
    Ok(NonZeroU64::new(bytes))
}

/// A rate as it is written in the configuration.
fn rate_text(rate: Rate) -> String {
    rate.map_or("off".to_owned(), |rate| format!("{}/s", units::size_text(rate.get())))
}

/// The text that [`BandwidthLimit::parse`] reads back to the same value.
impl fmt::Display for BandwidthLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As the sample has it.
            BandwidthLimit::Always(None) => f.write_str("0"),
            BandwidthLimit::Always(rate) => f.write_str(&rate_text(*rate)),
            BandwidthLimit::Daily(changes) => {
                for (index, Change { at, rate }) in changes.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{} {}", at.strftime("%H:%M"), rate_text(*rate))?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "bandwidth_tests.rs"]
mod tests;
