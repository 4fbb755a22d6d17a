use super::*;

fn read(body: &str) -> Result<Fields, Invalid> {
    Fields::read(body.as_bytes(), Endpoint::Chat)
}

fn at<'a>(body: &'a str, span: &Range<usize>) -> &'a str {
    &body[span.clone()]
}

#[test]
fn spans_point_at_the_values_with_any_spacing() {
    let body = "\n{ \"messages\" : [ {\"model\": \"inner\"} ] ,\t\"model\" :\n \"gpt-demo\" , \"stream\": true }\n";
    let fields = read(body).expect("a good body");
    assert_eq!(
        (fields.model.as_str(), at(body, &fields.model_span)),
        ("gpt-demo", "\"gpt-demo\"")
    );
    assert!(fields.stream);
    assert_eq!(fields.provider_span, None);
}

#[test]
fn an_escaped_model_is_unescaped_and_its_span_covers_the_escapes() {
    let body = r#"{"model":"gpt\u002ddemo"}"#;
    let fields = read(body).expect("a good body");
    assert_eq!(
        (fields.model.as_str(), at(body, &fields.model_span)),
        ("gpt-demo", r#""gpt\u002ddemo""#)
    );
}

#[test]
fn removing_the_provider_leaves_valid_json() {
    for body in [
        r#"{"provider":{"aci_verified":true},"model":"m"}"#,
        r#"{"model":"m","provider":{"aci_verified":true}}"#,
        r#"{"model":"m" , "provider" : {"aci_verified":true} , "stream":false}"#,
        "{\"model\":\"m\",\n\t\"provider\":{\"aci_verified\":true}\n}",
    ] {
        let fields = read(body).expect(body);
        let span = fields.provider_span.expect("a span");
        let rest = format!("{}{}", &body[..span.start], &body[span.end..]);
        let value: serde_json::Value = serde_json::from_str(&rest).expect(&rest);
        assert_eq!(
            (value.get("provider"), &value["model"]),
            (None, &"m".into()),
            "{rest}"
        );
    }
}

#[test]
fn a_provider_without_constraints_has_no_span() {
    let fields = read(r#"{"model":"m","provider":{"order":["a"]}}"#).expect("a good body");
    assert_eq!(
        (fields.provider_span, fields.constraints),
        (None, Constraints::default())
    );
}

#[test]
fn rejects_malformed_bodies_with_their_reasons() {
    for (body, reason) in [
        ("", Invalid::NotJson),
        ("[]", Invalid::NotAnObject),
        ("\"model\"", Invalid::NotAnObject),
        ("null", Invalid::NotAnObject),
        ("[", Invalid::NotJson),
        ("{", Invalid::NotJson),
        ("{}", Invalid::ModelMissing),
        (r#"{"model":"m"} x"#, Invalid::NotJson),
        (r#"{"model":"m"}{}"#, Invalid::NotJson),
        (r#"{"model":"m",}"#, Invalid::NotJson),
        (r#"{"model":"m","a":01}"#, Invalid::NotJson),
        (r#"{"model":"m","a":NaN}"#, Invalid::NotJson),
        (r#"{"model":"m","a":'b'}"#, Invalid::NotJson),
        (r#"{"model":"m",model:1}"#, Invalid::NotJson),
        (r#"{"model":"m",1:2}"#, Invalid::NotJson),
        (r#"{"model":"m","\x":2}"#, Invalid::NotJson),
        ("{\"model\":\"m\",\"a\":\"\n\"}", Invalid::NotJson),
        (r#"{"messages":[]}"#, Invalid::ModelMissing),
        (r#"{"model":null}"#, Invalid::ModelType),
        (r#"{"model":1}"#, Invalid::ModelType),
        (r#"{"model":["m"]}"#, Invalid::ModelType),
        (r#"{"model":""}"#, Invalid::ModelType),
        (r#"{"model":"m","stream":"true"}"#, Invalid::StreamType),
        (r#"{"model":"m","stream":1}"#, Invalid::StreamType),
        (
            r#"{"model":"m","stream_options":true}"#,
            Invalid::StreamOptions,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":1}}"#,
            Invalid::StreamOptions,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}"#,
            Invalid::StreamOptions,
        ),
    ] {
        assert_eq!(read(body), Err(reason), "{body}");
    }
    assert_eq!(
        Fields::read(b"{\"model\":\"\xff\"}", Endpoint::Chat),
        Err(Invalid::NotUtf8)
    );
    let long = format!(r#"{{"model":"{}"}}"#, "a".repeat(257));
    assert_eq!(read(&long), Err(Invalid::ModelType));
}

#[test]
fn rejects_a_member_given_twice_in_any_spelling() {
    for (body, member) in [
        (r#"{"model":"a","model":"b"}"#, Member::Model),
        (r#"{"model":"a","model":"a"}"#, Member::Model),
        (r#"{"model":"a","mod\u0065l":"b"}"#, Member::Model),
        (r#"{"model":"a","Model":"b"}"#, Member::Model),
        (r#"{"model":"a","\u004dODEL":"b"}"#, Member::Model),
        (r#"{"MODEL":"a"}"#, Member::Model),
        (
            r#"{"model":"a","stream":true,"stream":false}"#,
            Member::Stream,
        ),
        ("{\"model\":\"a\",\"\u{17f}tream\":true}", Member::Stream),
        (
            r#"{"model":"a","stream_options":{},"Stream_Options":{}}"#,
            Member::StreamOptions,
        ),
        (
            r#"{"model":"a","provider":{},"provider":{"aci_verified":true}}"#,
            Member::Provider,
        ),
    ] {
        assert_eq!(read(body), Err(Invalid::Ambiguous(member)), "{body}");
    }
}

#[test]
fn accepts_an_escaped_member_name() {
    let fields = read(r#"{"mod\u0065l":"a"}"#).expect("a good body");
    assert_eq!(fields.model, "a");
}

#[test]
fn ignores_the_same_names_in_nested_objects() {
    let fields =
        read(r#"{"model":"a","metadata":{"model":"b","model":"c"}}"#).expect("a good body");
    assert_eq!(fields.model, "a");
}

#[test]
fn rejects_streaming_embeddings() {
    let body = br#"{"model":"m","stream":true}"#;
    assert_eq!(
        Fields::read(body, Endpoint::Embeddings),
        Err(Invalid::EmbeddingsStream)
    );
    let body = br#"{"model":"m","stream":false}"#;
    assert!(Fields::read(body, Endpoint::Embeddings).is_ok());
}

#[test]
fn distinguishes_include_usage_false_from_absent() {
    let usage = |options: &str| {
        read(&format!(r#"{{"model":"m","stream_options":{options}}}"#)).map(|f| f.include_usage)
    };
    assert_eq!(usage("null"), Ok(None));
    assert_eq!(usage("{}"), Ok(None));
    assert_eq!(usage(r#"{"include_usage":null}"#), Ok(None));
    assert_eq!(usage(r#"{"include_usage":false}"#), Ok(Some(false)));
    assert_eq!(usage(r#"{"include_usage":true,"x":1}"#), Ok(Some(true)));
}

#[test]
fn accepts_deep_nesting_without_a_stack_overflow() {
    let depth = 100_000;
    let body = format!(
        r#"{{"model":"m","a":{}{}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    assert!(read(&body).is_ok());
    let open = format!(r#"{{"model":"m","a":{}"#, "[".repeat(depth));
    assert_eq!(read(&open), Err(Invalid::NotJson));
}

#[test]
fn the_output_is_limited_by_the_larger_of_two_limits() {
    for (members, limit) in [
        ("", OutputLimit::None),
        (r#""max_tokens":7,"#, OutputLimit::Tokens(7)),
        (r#""max_completion_tokens":7,"#, OutputLimit::Tokens(7)),
        (
            r#""max_tokens":9,"max_completion_tokens":7,"#,
            OutputLimit::Tokens(9),
        ),
        (
            r#""max_tokens":null,"max_completion_tokens":7,"#,
            OutputLimit::Tokens(7),
        ),
        (r#""max_tokens":-1,"#, OutputLimit::None),
        (
            r#""max_tokens":-1,"max_completion_tokens":7,"#,
            OutputLimit::None,
        ),
        (r#""max_tokens":0,"#, OutputLimit::Tokens(0)),
        (r#""max_tokens":"7","#, OutputLimit::Unreadable),
        (r#""max_tokens":7.0,"#, OutputLimit::Unreadable),
        (
            r#""max_tokens":1e3,"max_completion_tokens":7,"#,
            OutputLimit::Unreadable,
        ),
        (
            r#""max_tokens":99999999999999999999,"#,
            OutputLimit::Unreadable,
        ),
    ] {
        let body = format!("{{{members}\"model\":\"m\"}}");
        assert_eq!(
            read(&body).map(|fields| fields.output_limit),
            Ok(limit),
            "{body}"
        );
    }
}

#[test]
fn a_request_asks_for_one_answer_or_n() {
    for (members, answers) in [
        ("", 1),
        (r#""n":3,"#, 3),
        (r#""n":0,"#, 1),
        (r#""n":null,"#, 1),
        (r#""n":"3","#, 1),
    ] {
        let body = format!("{{{members}\"model\":\"m\"}}");
        assert_eq!(
            read(&body).map(|fields| fields.answers),
            Ok(answers),
            "{body}"
        );
    }
}
