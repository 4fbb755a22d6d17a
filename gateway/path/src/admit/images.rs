//! Counts the images of a prompt, where they have a price.
//!
//! An image is an object whose `type` is `image_url` or `input_image`, at any depth of the body, which is known to be JSON.
//! Text that looks like one is inside a string and is not counted.

use std::fmt;

use memchr::memmem;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

const TYPES: [&str; 2] = ["image_url", "input_image"];

/// How many images there are. In a body that is nested too deeply to be read, every mention of one counts.
pub(super) fn count_images(body: &[u8]) -> u64 {
    match serde_json::from_slice::<Found>(body) {
        Ok(found) => found.images,
        Err(_) => memmem::find_iter(body, b"image").count() as u64,
    }
}

/// What was found in a JSON value.
#[derive(Default)]
struct Found {
    images: u64,
    /// The value is a string that is the type of an image.
    names_image: bool,
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

impl<'de> Visitor<'de> for Counter {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found {
            images: 0,
            names_image: TYPES.contains(&text),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(element) = elements.next_element::<Found>()? {
            found.images += element.images;
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let (mut found, mut is_image) = (Found::default(), false);
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let value = members.next_value::<Found>()?;
            found.images += value.images;
            is_image |= name == "type" && value.names_image;
        }
        found.images += u64::from(is_image);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_images_and_not_text_about_them() {
        for (body, images) in [
            (r#"{"messages":[{"role":"user","content":"hi"}]}"#, 0),
            (
                r#"{"messages":[{"content":[{"type":"text","text":"\"type\":\"image_url\""},
                    {"type":"image_url","image_url":{"url":"data:,"}},
                    {"t\u0079pe":"image\u005furl","image_url":{"url":"type"}},
                    {"type":"input_image"}]}]}"#,
                3,
            ),
            (
                r#"{"a":["image_url",{"kind":"image_url"},1,2.5,-3,true,null]}"#,
                0,
            ),
        ] {
            assert_eq!(count_images(body.as_bytes()), images, "{body}");
        }
        let deep = format!(
            "{}{{\"type\":\"input_image\"}}{}",
            "[".repeat(200),
            "]".repeat(200)
        );
        assert_eq!(count_images(deep.as_bytes()), 1);
    }
}
