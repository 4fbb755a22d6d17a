use proptest::prelude::*;

use super::*;

const LENGTH: &str = "Content-Length: 5\r\n";
const CODING: &str = "Transfer-Encoding: chunked\r\n";

fn request(headers: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

/// Follows `pieces`; gives the number of the disputed request, and where it ended up.
fn followed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (u64, At) {
    let dispute = Dispute::default();
    let mut framing = Framing::new(dispute.clone());
    for piece in pieces {
        framing.follow(piece);
    }
    (dispute.0.load(Ordering::Acquire), framing.at)
}

fn disputed(stream: &str) -> u64 {
    followed([stream.as_bytes()]).0
}

#[test]
fn a_length_beside_chunks_is_a_dispute_in_either_order_and_any_case() {
    for headers in [
        format!("{LENGTH}{CODING}"),
        format!("{CODING}{LENGTH}"),
        format!("{CODING}Accept: */*\r\ncontent-LENGTH:5\r\n"),
        format!("{LENGTH}transfer-encoding: gzip, chunked\r\n"),
        format!("{CODING}Content-Length: {}5\r\n", " ".repeat(100)),
        format!("{CODING}Content-Length: none\r\n"),
        format!("{LENGTH}{CODING}").replace("\r\n", "\n"),
    ] {
        assert_eq!(disputed(&request(&headers, "")), 1, "{headers}");
    }
}

#[test]
fn what_only_looks_like_a_header_is_none() {
    for headers in [
        LENGTH.to_owned(),
        CODING.to_owned(),
        format!("{LENGTH}X-Transfer-Encoding: chunked\r\n"),
        format!("{CODING}X: Content-Length: 5\r\n"),
        format!("{CODING}Content-Lengthy: 5\r\n"),
        format!("{LENGTH}Transfer-Encoding2: chunked\r\n"),
    ] {
        assert_eq!(disputed(&request(&headers, "")), 0, "{headers}");
    }
    let first = format!("POST /Content-Length:1 HTTP/1.1\r\n{CODING}\r\n0\r\n\r\n");
    assert_eq!(disputed(&first), 0);
}

#[test]
fn bodies_are_stepped_over_whatever_they_say() {
    let hostile = format!("\r\n\r\n{LENGTH}{CODING}\r\n");
    let sized = request(&format!("content-length: {}\r\n", hostile.len()), &hostile);
    let chunked = request(
        CODING,
        &format!(
            "{:x};name=value\r\n{hostile}\r\n1\r\nx\r\n0\r\nTrailer: {LENGTH}{CODING}\r\n",
            hostile.len()
        ),
    );
    let bare = "GET /readyz HTTP/1.1\r\n\r\n";
    let fine = format!("{sized}{chunked}{bare}\r\n{chunked}{sized}");
    assert_eq!(followed([fine.as_bytes()]), (0, At::Head));
    let bad = request(&format!("{LENGTH}{CODING}"), "");
    assert_eq!(disputed(&format!("{fine}{bad}{fine}{bad}")), 6);
}

#[test]
fn what_cannot_be_followed_ends_the_watch() {
    let bad = request(&format!("{LENGTH}{CODING}"), "");
    for stream in [
        request("content-length: five\r\n", ""),
        request("content-length: +5\r\n", ""),
        request("content-length: 99999999999999999999\r\n", ""),
        request(CODING, "g\r\n"),
        request(CODING, "\r\n"),
        request(CODING, "fffffffffffffffff\r\n"),
        request(CODING, "1\r\nxx\r\n"),
    ] {
        let all = stream.clone() + &bad;
        assert_eq!(followed([all.as_bytes()]), (0, At::Lost), "{stream}");
    }
}

#[test]
fn nothing_of_a_line_is_kept_when_it_has_ended() {
    let mut framing = Framing::new(Dispute::default());
    framing.follow(b"GET / HTTP/1.1\r\nauthorization: Bearer secret\r\n");
    assert_eq!(framing.line.start, [0; 64]);
    framing.follow(request(LENGTH, "").trim_end_matches("\r\n").as_bytes());
    framing.follow(b"\r\n\r\nsecr");
    assert_eq!((framing.at, framing.line.start), (At::Body(1), [0; 64]));
}

proptest! {
    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(
        which in prop::collection::vec(0..5_usize, 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..16),
    ) {
        let kinds = [
            request(LENGTH, "12345"),
            request(CODING, "5\r\n\r\n\r\nx\r\n0\r\n\r\n"),
            request(&format!("{LENGTH}{CODING}"), "0\r\n\r\n"),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            request("content-length: 0\r\n", ""),
        ];
        let stream: String = which.iter().map(|kind| kinds[*kind].as_str()).collect();
        let bytes = stream.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let expected = which.iter().position(|kind| *kind == 2).map_or(0, |place| place as u64 + 1);
        let (found, _) = followed(at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':'), Just(b'0')], 0..400),
    ) {
        let one: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(followed([&bytes[..]]), followed(one));
    }
}
