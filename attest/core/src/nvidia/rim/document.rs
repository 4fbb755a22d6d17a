//! The part of a SWID tag that carries reference values.

use roxmltree::{Document, Node, ParsingOptions};

use super::RimError;
use crate::encoding::parse_hex;

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const HASHES: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const MAX_NODES: u32 = 4096;
/// Real manifests are five elements deep; canonicalization recurses once per level.
const MAX_DEPTH: usize = 16;
const MAX_ALTERNATIVES: usize = 64;

/// What one measurement may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::nvidia) struct ReferenceValue {
    /// Counted from 0: measurement block `index + 1`.
    pub(in crate::nvidia) index: u8,
    /// Whether this manifest speaks for this measurement.
    pub(in crate::nvidia) active: bool,
    /// Any of these.
    pub(in crate::nvidia) alternatives: Vec<[u8; 48]>,
}

pub(super) struct Content {
    pub(super) product: String,
    pub(super) version: String,
    pub(super) values: Vec<ReferenceValue>,
}

/// Reads the accepted subset of XML.
pub(super) fn parse(text: &str) -> Result<Document<'_>, RimError> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let xml = Document::parse_with_options(text, options).map_err(|_| RimError::NotXml)?;
    let plain = xml.descendants().all(|node| {
        !node.is_comment()
            && !node.is_pi()
            && node.ancestors().take(MAX_DEPTH + 1).count() <= MAX_DEPTH
    });
    if plain {
        Ok(xml)
    } else {
        Err(RimError::NotXml)
    }
}

pub(super) fn read(xml: &Document<'_>) -> Result<Content, RimError> {
    let root = xml.root_element();
    if !root.has_tag_name((SWID, "SoftwareIdentity")) {
        return Err(RimError::Shape("SoftwareIdentity"));
    }
    let meta = only_child(root, "Meta")?;
    let attribute = |name, what| {
        meta.attribute(name)
            .map(str::to_owned)
            .ok_or(RimError::Shape(what))
    };
    Ok(Content {
        product: attribute("product", "product")?,
        version: attribute("colloquialVersion", "colloquialVersion")?,
        values: values(only_child(root, "Payload")?)?,
    })
}

fn values(payload: Node<'_, '_>) -> Result<Vec<ReferenceValue>, RimError> {
    let mut values: Vec<ReferenceValue> = Vec::new();
    for element in payload.children().filter(Node::is_element) {
        let measurement = element.has_tag_name((SWID, "Resource"))
            && element.attribute("type") == Some("Measurement");
        if !measurement {
            return Err(RimError::Shape("Payload"));
        }
        let value = reference_value(element).ok_or(RimError::Shape("Resource"))?;
        if values.iter().any(|seen| seen.index == value.index) {
            return Err(RimError::Shape("Resource index"));
        }
        values.push(value);
    }
    Ok(values)
}

fn reference_value(resource: Node<'_, '_>) -> Option<ReferenceValue> {
    let active = match resource.attribute("active")? {
        "True" => true,
        "False" => false,
        _ => return None,
    };
    let count: usize = resource.attribute("alternatives")?.parse().ok()?;
    if count == 0 || count > MAX_ALTERNATIVES || resource.attribute("size")? != "48" {
        return None;
    }
    let hashes: Vec<_> = resource
        .attributes()
        .filter(|attribute| attribute.namespace() == Some(HASHES))
        .collect();
    if hashes.len() != count {
        return None;
    }
    let alternatives = (0..count)
        .map(|number| {
            let value = resource.attribute((HASHES, format!("Hash{number}").as_str()))?;
            parse_hex::<48>(&value.to_ascii_lowercase()).ok()
        })
        .collect::<Option<_>>()?;
    Some(ReferenceValue {
        index: resource.attribute("index")?.parse().ok()?,
        active,
        alternatives,
    })
}

fn only_child<'a, 'i>(parent: Node<'a, 'i>, name: &'static str) -> Result<Node<'a, 'i>, RimError> {
    let mut found = parent
        .children()
        .filter(|child| child.has_tag_name((SWID, name)));
    match (found.next(), found.next()) {
        (Some(child), None) => Ok(child),
        _ => Err(RimError::Shape(name)),
    }
}
