//! What single values are taken and refused.

use super::*;

fn value(text: &str) -> DeValue<'_> {
    DeValue::String(text.into())
}

#[test]
fn endpoints_are_https_or_loopback() {
    let good = [
        ("https://smh1.api.tencentsmh.cn", "https://smh1.api.tencentsmh.cn"),
        ("https://smh1.api.tencentsmh.cn/", "https://smh1.api.tencentsmh.cn"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:9/", "http://[::1]:9"),
        ("http://localhost:80", "http://localhost"),
    ];
    for (given, taken) in good {
        assert_eq!(endpoint(&value(given)).unwrap(), taken);
    }
    let bad = [
        "",
        "smh1.api.tencentsmh.cn",
        "ftp://example.org",
        "http://example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1",
        "https://example.org/api",
        "https://example.org/?a=b",
        "https://example.org/#a",
        "https://user:hunter2@example.org",
        "https://",
    ];
    for given in bad {
        let wrong = endpoint(&value(given)).unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"));
    }
}

#[test]
fn paths_are_absolute_and_plain() {
    assert_eq!(path(&value("/srv//docs/./a/")).unwrap(), Path::new("/srv/docs/a"));
    for given in ["", "docs", "./docs", "~/docs", "/srv/../etc", "/a\0b"] {
        assert!(path(&value(given)).is_err(), "{given}");
    }
}

#[test]
fn remote_folders_become_segments() {
    assert_eq!(remote_folder(&value("/backup//docs/")).unwrap(), ["backup", "docs"]);
    assert!(remote_folder(&value("")).unwrap().is_empty());
    for given in ["a/../b", "./a", "a:b", "a\\b", "a|b", "a\nb"] {
        assert!(remote_folder(&value(given)).is_err(), "{given}");
    }
}

#[test]
fn rules_are_gitignore() {
    let list = |rule: &str| {
        let text = format!("a = ['''{rule}''']");
        let table = toml::de::DeTable::parse(&text).unwrap();
        exclude(table.get_ref().get("a").unwrap().get_ref())
    };
    for rule in ["*.tmp", "/cache/", "!keep", "a/**/b", "\\#x"] {
        assert_eq!(list(rule).unwrap(), [rule]);
    }
    for rule in ["", " ", "#x", "[z-a]", "a{b", "a\nb"] {
        assert!(list(rule).is_err(), "{rule}");
    }
}

#[test]
fn levels_are_words_or_filters() {
    for given in ["info", "DEBUG", "info,smh_mirror::smh=debug", "smh_mirror=trace"] {
        assert!(log_level(&value(given)).is_ok(), "{given}");
    }
    for given in ["", "inof", "info,loud", "smh_mirror=loud"] {
        assert!(log_level(&value(given)).is_err(), "{given}");
    }
}

#[test]
fn a_shown_proxy_has_no_password() {
    assert_eq!(proxy_shown("http://a.example:3128"), "http://a.example:3128");
    let shown = proxy_shown("http://ada:hunter2@a.example:3128");
    assert!(shown.contains("a.example:3128") && !shown.contains("hunter2"), "{shown}");
    let wrong = proxy(&value("socks5://ada:hunter2@a.example")).unwrap_err();
    assert!(!format!("{wrong:?}").contains("hunter2"));
}

#[test]
fn words_are_suggested() {
    let wrong = word(&value("kep"), &[("keep", 1), ("recycle", 2)]).unwrap_err();
    assert!(wrong.next.contains("\"keep\""), "{wrong:?}");
    let wrong = word(&value("something"), &[("keep", 1), ("recycle", 2)]).unwrap_err();
    assert!(wrong.next.contains("keep, recycle"), "{wrong:?}");
}

#[test]
fn numbers_have_bounds() {
    let read = |text: &str| {
        let text = format!("a = {text}");
        let table = toml::de::DeTable::parse(&text).unwrap();
        number(table.get_ref().get("a").unwrap().get_ref(), 1, 256)
    };
    assert_eq!(read("32").unwrap(), 32);
    assert_eq!(read("0x20").unwrap(), 32);
    for given in ["0", "257", "-1", "\"32\"", "1.5", "99999999999999999999"] {
        assert!(read(given).is_err(), "{given}");
    }
}
