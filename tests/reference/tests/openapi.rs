//! The interface descriptions list exactly what the gateway routes.

use gateway_path::http;
use reference::openapi::{described, routed};

#[test]
fn the_description_of_the_public_api_lists_exactly_what_is_routed() {
    assert_eq!(described("docs/openapi/public.json"), routed(http::paths()));
}

#[test]
fn the_description_of_the_admin_api_lists_exactly_what_is_routed() {
    assert_eq!(
        described("docs/openapi/admin.json"),
        routed(gateway_admin::paths())
    );
}
