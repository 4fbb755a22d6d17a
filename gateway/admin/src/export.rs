//! The audit log as one file: a tar archive of what `sealgate log export` writes into a directory.
//!
//! It is generated while it is sent, one file at a time. Its last file is the head: an archive that was cut off has none, and is
//! refused by `sealgate-verify log replay`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::{Response, Uri};

use super::{Admin, Auditing, By};
use gateway_base::errors::{ApiError, Invalid};
use gateway_store::audit::{Export, ExportError};

const BLOCK: usize = 512;

/// `GET /admin/v1/log/export`, with `?private=1` with the subjects of entries and the receipts of batches.
pub(super) async fn export(
    admin: State<Arc<Admin>>,
    _by: By<Auditing>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let private = match uri.query() {
        None | Some("" | "private=0") => false,
        Some("private=1") => true,
        Some(_) => return Err(Invalid::Query.into()),
    };
    let ledger = admin.ledger.clone();
    // Fixes the head: entries that are added while the archive is sent are not in it, so its last file fits the others.
    let begun = ledger.audit().begin_export(private).await;
    let export = begun.map_err(|_| ApiError::Internal)?;
    let at = admin.clock.now().secs();
    let files = stream::unfold(Some((ledger, export)), move |state| async move {
        let (ledger, mut export) = state?;
        match next(&mut export, ledger.audit(), at).await {
            Ok(Some(file)) => Some((Ok(file), Some((ledger, export)))),
            Ok(None) => Some((Ok(Bytes::from_static(&[0; 2 * BLOCK])), None)),
            // The connection is aborted, so that the client sees a truncated archive.
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(files));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"audit-log.tar\""),
    );
    Ok(response)
}

async fn next(
    export: &mut Export,
    log: &gateway_store::audit::AuditLog,
    at: u64,
) -> Result<Option<Bytes>, ExportError> {
    let file = export.next(log).await?;
    Ok(file.map(|(path, bytes)| packed(&path, &bytes, at)))
}

/// One file of an archive: its header, its bytes, and zeros up to a whole block.
fn packed(path: &str, bytes: &[u8], at: u64) -> Bytes {
    let padded = bytes.len().next_multiple_of(BLOCK);
    let mut file = Vec::with_capacity(BLOCK + padded);
    file.extend_from_slice(&header(path, bytes.len(), at));
    file.extend_from_slice(bytes);
    file.resize(BLOCK + padded, 0);
    file.into()
}

/// A ustar header (POSIX.1-1988 §10.1.1). Paths of the log are far below its hundred bytes.
fn header(path: &str, len: usize, at: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |place: usize, text: &str| {
        header[place..place + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, &path[..path.len().min(100)]);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{len:011o}"));
    put(136, &format!("{at:011o}"));
    // The sum is taken with spaces where it will be.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_header_and_whole_blocks() {
        let file = packed("tile/0/000.p/7", b"seven!!", 0);
        assert_eq!(file.len(), 2 * BLOCK);
        assert_eq!(&file[..14], b"tile/0/000.p/7");
        assert_eq!(&file[124..136], b"00000000007\0");
        assert_eq!(&file[257..265], b"ustar\x0000");
        assert_eq!(&file[BLOCK..BLOCK + 8], b"seven!!\0");
        let spaced: u32 = file[..BLOCK]
            .iter()
            .enumerate()
            .map(|(place, byte)| {
                if (148..156).contains(&place) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        assert_eq!(&file[148..156], format!("{spaced:06o}\0 ").as_bytes());
        assert_eq!(packed("checkpoint", &[1; BLOCK], 0).len(), 2 * BLOCK);
    }
}
