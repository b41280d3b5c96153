use super::*;

#[test]
fn a_form_keeps_the_order_of_its_fields() {
    let form: Form = serde_json::from_str(
        r#"{"domain":"d","path":"/","form":{"key":"k","z":"1","a":2,"policy":"p"},"confirmKey":"c","new":1}"#,
    )
    .expect("valid");
    let names: Vec<&str> = form.form.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["key", "z", "a", "policy"]);
    assert!(!format!("{form:?}").contains("confirm_key: \"c\""));
}

#[test]
fn a_form_ends_by_our_clock() {
    let form = |expiration: &str, skew_ms| {
        let text =
            format!(r#"{{"domain":"d","form":{{}},"confirmKey":"c","expiration":{expiration}}}"#);
        let mut form: Form = serde_json::from_str(&text).expect("valid");
        form.tell_by_our_clock(skew_ms);
        form
    };
    let at = r#""1970-01-01T00:10:00.000Z""#;
    assert_eq!(form(at, 0).expires_at_ms, Some(600_000));
    // The service is five minutes ahead: by our clock the form ends five minutes earlier.
    let ahead = form(at, 300_000);
    assert_eq!(ahead.expires_at_ms, Some(300_000));
    assert_eq!(ahead.expires_in_ms(100_000), Some(200_000));
    assert_eq!(ahead.expires_in_ms(400_000), Some(0));
    for unknown in ["null", r#""tomorrow""#] {
        assert_eq!(form(unknown, 0).expires_in_ms(0), None);
    }
}

#[test]
fn sizes_come_as_text_or_number() {
    for body in [
        r#"{"path":["a"],"size":"7","crc64":"18446744073709551615"}"#,
        r#"{"path":["a"],"size":7,"crc64":18446744073709551615}"#,
    ] {
        let confirmed: Confirmed = serde_json::from_str(body).expect("valid");
        assert_eq!((confirmed.size, confirmed.crc64), (Some(7), Some(u64::MAX)));
    }
    let lost: Confirmed = serde_json::from_str(r#"{"path":null}"#).expect("valid");
    assert_eq!(lost.path, None);
    assert!(serde_json::from_str::<Confirmed>(r#"{"size":"many"}"#).is_err());
}

#[test]
fn a_page_has_entries_and_perhaps_a_marker() {
    let page: Page = serde_json::from_str(
        r#"{"path":[],"nextMarker":1013,"contents":[{"name":"d","type":"dir"},{"name":"f","type":"image","size":"1","crc64":"2"}]}"#,
    )
    .expect("valid");
    assert_eq!(page.next_marker.as_deref(), Some("1013"));
    assert_eq!(page.contents[0].info.kind, Kind::Directory);
    assert_eq!(page.contents[1].info, Info { kind: Kind::File, size: Some(1), crc64: Some(2) });
    let last: Page = serde_json::from_str(r#"{"contents":[],"nextMarker":null}"#).expect("valid");
    assert_eq!(last.next_marker, None);
}

#[test]
fn an_error_may_hide_in_a_success() {
    let body = br#"{"status":403,"code":"NoPermission","message":"no"}"#;
    assert!(is_error_envelope(body));
    assert_eq!(refusal(200, body).status, 403);
    assert!(!is_error_envelope(br#"{"path":["status"],"size":"1"}"#));
}

#[test]
fn cos_speaks_xml() {
    let refusal = cos_refusal(
        403,
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>a &amp; b</Message><RequestId>r1</RequestId></Error>",
    );
    assert_eq!(refusal.code.as_deref(), Some("AccessDenied"));
    assert_eq!(refusal.message, "a & b");
    assert_eq!(refusal.request_id.as_deref(), Some("r1"));
    assert_eq!(cos_refusal(500, b"\xff\xfe<Code>").code, None);
}

#[test]
fn a_message_carries_no_url() {
    assert_eq!(tame("see https://x/y?access_token=abc now"), "see [url] now");
    assert_eq!(tame("bad access_token=abc"), "bad [redacted]");
    assert_eq!(tame("a\nb"), "a\\nb");
}
