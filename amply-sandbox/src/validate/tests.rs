use super::*;

fn route_input(body: &[u8]) -> Result<RouteInput, Refusal> {
    super::route_input(body, Release::V3_1_13)
}

fn with(field: &str) -> Result<RouteInput, Refusal> {
    route_input(format!(r#"{{"task":"x",{field}}}"#).as_bytes())
}

fn task(text: &str) -> Result<RouteInput, Refusal> {
    route_input(serde_json::json!({ "task": text }).to_string().as_bytes())
}

#[test]
fn the_first_wrong_field_in_the_order_of_the_server_is_reported() {
    let fields = [
        (r#""task":"""#, r#""task":"x""#, TASK),
        (r#""budget_usd":-1"#, r#""budget_usd":1"#, BUDGET),
        (r#""latency_target_ms":-1"#, r#""latency_target_ms":1"#, LATENCY),
        (r#""dimension":0"#, r#""dimension":1"#, DIMENSION),
        (r#""filter_complexity":"x""#, r#""filter_complexity":"low""#, FILTER),
        (r#""workload_type":"x""#, r#""workload_type":"hybrid""#, WORKLOAD),
        (r#""referral_tag":"!""#, r#""referral_tag":"a""#, REFERRAL),
    ];
    for first_wrong in 0..fields.len() {
        // Written backwards: the order in the body does not matter.
        let body: Vec<&str> = fields
            .iter()
            .enumerate()
            .rev()
            .map(|(i, (bad, good, _))| if i < first_wrong { *good } else { *bad })
            .collect();
        let body = format!("{{{}}}", body.join(","));
        assert_eq!(route_input(body.as_bytes()), Err(Refusal::Detail(fields[first_wrong].2)), "{body}");
    }
}

#[test]
fn what_is_no_object_has_no_task_and_null_is_not_guarded() {
    assert_eq!(route_input(b" null "), Err(Refusal::Null));
    for body in ["[]", "42", "true", "\"task\"", "[{\"task\":\"x\"}]"] {
        assert_eq!(route_input(body.as_bytes()), Err(Refusal::Detail(TASK)), "{body}");
    }
}

#[test]
fn what_is_not_one_json_document_is_an_invalid_body() {
    for body in [
        "",
        " ",
        "{",
        "{\"task\":\"x\",",
        "{\"task\":\"x\",}",
        "{\"task\":NaN}",
        "{\"task\":\"x\",\"budget_usd\":Infinity}",
        "{} {}",
        "{'task':'x'}",
        "{\"task\":\"a\nb\"}",
    ] {
        assert_eq!(route_input(body.as_bytes()), Err(Refusal::Detail(INVALID_JSON)), "{body}");
    }
}

#[test]
fn of_two_equal_keys_the_last_one_counts() {
    assert_eq!(with(r#""dimension":5,"dimension":7"#).unwrap().dimension, Some(7.0));
    assert_eq!(route_input(br#"{"task":"x","t\u0061sk":"y"}"#).unwrap().task, "y");
}

#[test]
fn a_task_is_counted_in_utf16_units_after_trimming() {
    assert!(task(&"a".repeat(8000)).is_ok());
    assert!(task(&format!("  {}\n", "a".repeat(8000))).is_ok());
    assert_eq!(task(&"a".repeat(8001)), Err(Refusal::Detail(TASK)));
    assert!(task(&"🚀".repeat(4000)).is_ok());
    assert_eq!(task(&"🚀".repeat(4001)), Err(Refusal::Detail(TASK)));
}

#[test]
fn a_task_of_blanks_is_empty_and_other_invisible_characters_are_a_task() {
    for blank in ["", " \n\t", "\u{a0}", "\u{3000}", "\u{feff}"] {
        assert_eq!(task(blank), Err(Refusal::Detail(TASK)), "{blank:?}");
    }
    for invisible in ["\u{200b}", "\u{85}", "\u{180e}", "\0"] {
        assert_eq!(task(invisible).unwrap().task, invisible);
    }
}

#[test]
fn a_task_with_half_a_surrogate_pair_or_bad_utf8_is_accepted() {
    assert_eq!(route_input(br#"{"task":"\ud83d 2k"}"#).unwrap().task, "\u{fffd} 2k");
    assert_eq!(route_input(b"{\"task\":\"\xff\"}").unwrap().task, "\u{fffd}");
    assert_eq!(route_input("\u{feff}{\"task\":\"x\"}".as_bytes()).unwrap().task, "x");
}

#[test]
fn null_and_unknown_fields_are_as_good_as_absent() {
    let nulls = r#""dimension":null,"workload_type":null,"filter_complexity":null,"budget_usd":null,"latency_target_ms":null,"referral_tag":null,"x":{"y":[1e999]}"#;
    assert_eq!(with(nulls), Ok(RouteInput::of_task("x")));
}

#[test]
fn numbers_are_coerced_before_they_are_checked() {
    for (field, budget) in [
        (r#""""#, 0.0),
        ("true", 1.0),
        ("[]", 0.0),
        (r#"["5"]"#, 5.0),
        ("1e999", f64::INFINITY),
        (r#""Infinity""#, f64::INFINITY),
        ("-0", 0.0),
        (r#""0x10""#, 16.0),
    ] {
        assert_eq!(with(&format!(r#""budget_usd":{field}"#)).unwrap().budget_usd, budget, "{field}");
    }
    for field in [r#""1_000""#, r#""1,5""#, r#""$5""#, "{}", "[1,2]", "[true]", "-1e-300", "-1e999"] {
        assert_eq!(with(&format!(r#""budget_usd":{field}"#)), Err(Refusal::Detail(BUDGET)), "{field}");
        assert_eq!(
            with(&format!(r#""latency_target_ms":{field}"#)),
            Err(Refusal::Detail(LATENCY)),
            "{field}"
        );
    }
}

#[test]
fn a_dimension_is_whole_and_within_its_range() {
    for (field, dimension) in [
        ("128.0", 128.0),
        (r#""64.0""#, 64.0),
        ("true", 1.0),
        ("65536", 65_536.0),
        ("[[7]]", 7.0),
        ("0.99999999999999999", 1.0),
    ] {
        assert_eq!(with(&format!(r#""dimension":{field}"#)).unwrap().dimension, Some(dimension), "{field}");
    }
    for field in ["0", "65537", "65536.5", "1.5", "0.9999999999999999", "1e400", "false", r#""""#, "[]", "-1"]
    {
        assert_eq!(with(&format!(r#""dimension":{field}"#)), Err(Refusal::Detail(DIMENSION)), "{field}");
    }
}

#[test]
fn enumerations_ignore_case_and_nothing_else() {
    assert_eq!(with(r#""workload_type":["Query_HEAVY"]"#).unwrap().workload, Workload::QueryHeavy);
    assert_eq!(with(r#""filter_complexity":"LOW""#).unwrap().filter, Filter::Low);
    for value in
        [r#""""#, r#"" hybrid""#, r#""ｈybrid""#, r#""hуbrid""#, "[]", "5", "true", r#"["hybrid","hybrid"]"#]
    {
        assert_eq!(with(&format!(r#""workload_type":{value}"#)), Err(Refusal::Detail(WORKLOAD)), "{value}");
    }
    for value in [r#""""#, r#""low ""#, r#""hİgh""#, "0", "{}"] {
        assert_eq!(with(&format!(r#""filter_complexity":{value}"#)), Err(Refusal::Detail(FILTER)), "{value}");
    }
}

#[test]
fn a_referral_tag_is_turned_to_text_and_trimmed() {
    for value in [r#""""#, r#"" a.b_c:d@e/f-9 ""#, "5", "true", "[\"a\"]", "[]"] {
        assert!(with(&format!(r#""referral_tag":{value}"#)).is_ok(), "{value}");
    }
    assert!(with(&format!(r#""referral_tag":"{}""#, "a".repeat(64))).is_ok());
    for value in [r#""has space""#, r#""é""#, "{}", "[\"a\",\"b\"]", "1e21"] {
        assert_eq!(with(&format!(r#""referral_tag":{value}"#)), Err(Refusal::Detail(REFERRAL)), "{value}");
    }
    assert_eq!(with(&format!(r#""referral_tag":"{}""#, "a".repeat(65))), Err(Refusal::Detail(REFERRAL)));
}

#[test]
fn hard_limits_are_coerced_as_the_other_numbers_and_come_after_them() {
    for (value, limit) in
        [("0", 0.0), (r#""""#, 0.0), ("true", 1.0), (r#"["2.5"]"#, 2.5), ("1e999", f64::INFINITY)]
    {
        let input = with(&format!(r#""budget_usd_per_1m_ops":{value}"#)).unwrap();
        assert_eq!(input.limits, Limits { budget_usd_per_1m_ops: Some(limit), slo_p99_ms: None }, "{value}");
    }
    for value in ["-1", r#""much""#, "{}", "[1,2]"] {
        assert_eq!(
            with(&format!(r#""budget_usd_per_1m_ops":{value}"#)),
            Err(Refusal::Detail(PER_1M_OPS)),
            "{value}"
        );
    }
    assert_eq!(with(r#""slo_p99_ms":"5e1""#).unwrap().limits.slo_p99_ms, Some(50.0));
    for value in ["0", "-1", r#""""#, "false", r#""50ms""#, "[]"] {
        assert_eq!(with(&format!(r#""slo_p99_ms":{value}"#)), Err(Refusal::Detail(SLO)), "{value}");
    }
    assert_eq!(with(r#""slo_p99_ms":0,"budget_usd_per_1m_ops":-1"#), Err(Refusal::Detail(PER_1M_OPS)));
    assert_eq!(with(r#""slo_p99_ms":0,"referral_tag":"!""#), Err(Refusal::Detail(REFERRAL)));
    assert!(with(r#""slo_p99_ms":null,"budget_usd_per_1m_ops":null"#).unwrap().limits.is_empty());
}

#[test]
fn only_true_switches_the_sandbox_mode_on() {
    assert!(with(r#""sandbox_mode":true"#).unwrap().sandbox_mode);
    for value in ["false", "null", "1", r#""true""#, "{}"] {
        assert!(!with(&format!(r#""sandbox_mode":{value}"#)).unwrap().sandbox_mode, "{value}");
    }
}

#[test]
fn release_3_1_12_does_not_know_the_fields_that_came_later() {
    let body = br#"{"task":"x","slo_p99_ms":-1,"budget_usd_per_1m_ops":{},"sandbox_mode":true}"#;
    assert_eq!(super::route_input(body, Release::V3_1_12), Ok(RouteInput::of_task("x")));
}
