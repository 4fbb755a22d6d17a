//! Canonical XML 1.1, inclusive, without comments (W3C REC-xml-c14n11), for documents that have none
//! of what [`super::document::parse`] refuses.
//!
//! What is left of the algorithm: start tag with namespace declarations not already declared in the
//! output, sorted by prefix, then attributes sorted by namespace and name, both quoted with `"`;
//! text with `& < > CR` escaped and attribute values with `& < " TAB LF CR` escaped; an end tag
//! always. Attributes in the `xml:` namespace are refused, so nothing is inherited into subtrees
//! but namespaces.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, NodeId};

use super::RimError;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Canonical form of the element `apex`, without the subtree at `left_out`.
pub(super) fn canonicalize(
    apex: Node<'_, '_>,
    source: &str,
    left_out: Option<NodeId>,
) -> Result<Vec<u8>, RimError> {
    let mut out = Vec::with_capacity(source.len());
    element(apex, source, left_out, &BTreeMap::new(), &mut out)?;
    Ok(out)
}

/// Canonical form of a whole document: its one element, since there are no comments and no
/// processing instructions beside it.
pub(super) fn canonicalize_document(
    xml: &Document<'_>,
    source: &str,
    left_out: NodeId,
) -> Result<Vec<u8>, RimError> {
    canonicalize(xml.root_element(), source, Some(left_out))
}

type Namespaces = BTreeMap<String, String>;

fn element(
    node: Node<'_, '_>,
    source: &str,
    left_out: Option<NodeId>,
    in_scope: &Namespaces,
    out: &mut Vec<u8>,
) -> Result<(), RimError> {
    let name = qualified_name(source, node.range().start + 1);
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    let here = namespaces(node);
    for (prefix, uri) in &here {
        if in_scope.get(prefix) != Some(uri) {
            let separator = if prefix.is_empty() { "" } else { ":" };
            out.extend_from_slice(format!(" xmlns{separator}{prefix}=\"").as_bytes());
            escape(uri, true, out);
            out.push(b'"');
        }
    }
    if in_scope.contains_key("") && !here.contains_key("") {
        out.extend_from_slice(b" xmlns=\"\"");
    }
    attributes(node, source, out)?;
    out.push(b'>');
    for child in node.children() {
        if Some(child.id()) == left_out {
            continue;
        }
        if child.is_element() {
            element(child, source, left_out, &here, out)?;
        } else if let Some(text) = child.text() {
            escape(text, false, out);
        }
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    Ok(())
}

/// Namespaces in scope at an element; `xmlns=""` is none.
fn namespaces(node: Node<'_, '_>) -> Namespaces {
    node.namespaces()
        .filter(|namespace| namespace.name() != Some("xml") && !namespace.uri().is_empty())
        .map(|namespace| {
            (
                namespace.name().unwrap_or_default().to_owned(),
                namespace.uri().to_owned(),
            )
        })
        .collect()
}

fn attributes(node: Node<'_, '_>, source: &str, out: &mut Vec<u8>) -> Result<(), RimError> {
    let mut attributes: Vec<_> = node.attributes().collect();
    attributes
        .sort_by_key(|attribute| (attribute.namespace().unwrap_or_default(), attribute.name()));
    for attribute in attributes {
        if attribute.namespace() == Some(XML) {
            return Err(RimError::Shape("xml: attribute"));
        }
        out.push(b' ');
        out.extend_from_slice(qualified_name(source, attribute.range().start).as_bytes());
        out.extend_from_slice(b"=\"");
        escape(attribute.value(), true, out);
        out.push(b'"');
    }
    Ok(())
}

/// The name as written, prefix included: the parser resolves prefixes and forgets them.
fn qualified_name(source: &str, at: usize) -> &str {
    let rest = source.get(at..).unwrap_or_default();
    let end = rest
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))
        .unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

fn escape(text: &str, in_attribute: bool, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match (byte, in_attribute) {
            (b'&', _) => out.extend_from_slice(b"&amp;"),
            (b'<', _) => out.extend_from_slice(b"&lt;"),
            (b'>', false) => out.extend_from_slice(b"&gt;"),
            (b'\r', _) => out.extend_from_slice(b"&#xD;"),
            (b'"', true) => out.extend_from_slice(b"&quot;"),
            (b'\t', true) => out.extend_from_slice(b"&#x9;"),
            (b'\n', true) => out.extend_from_slice(b"&#xA;"),
            (other, _) => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    fn canonical(text: &str) -> String {
        let xml = document::parse(text).unwrap();
        String::from_utf8(canonicalize(xml.root_element(), text, None).unwrap()).unwrap()
    }

    /// REC-xml-c14n11 §3.3, "Start and End Tags", without its DTD.
    #[test]
    fn start_and_end_tags_are_written_in_one_way() {
        let text = "<doc>\n   <e1   />\n   <e3   name = \"elem3\"   id=\"elem3\"   />\n   \
            <e5 a:attr=\"out\" b:attr=\"sorted\" attr2=\"all\" attr=\"I'm\"\n      \
            xmlns:b=\"http://www.ietf.org\"\n      xmlns:a=\"http://www.w3.org\"\n      \
            xmlns=\"http://example.org\"/>\n   <e6 xmlns=\"\" xmlns:a=\"http://www.w3.org\">\n       \
            <e7 xmlns=\"http://www.ietf.org\">\n           <e8 xmlns=\"\" \
            xmlns:a=\"http://www.w3.org\">\n               <e9 xmlns=\"\" \
            xmlns:a=\"http://www.ietf.org\"/>\n           </e8>\n       </e7>\n   </e6>\n</doc>";
        let expected = "<doc>\n   <e1></e1>\n   <e3 id=\"elem3\" name=\"elem3\"></e3>\n   \
            <e5 xmlns=\"http://example.org\" xmlns:a=\"http://www.w3.org\" \
            xmlns:b=\"http://www.ietf.org\" attr=\"I'm\" attr2=\"all\" b:attr=\"sorted\" \
            a:attr=\"out\"></e5>\n   <e6 xmlns:a=\"http://www.w3.org\">\n       \
            <e7 xmlns=\"http://www.ietf.org\">\n           <e8 xmlns=\"\">\n               \
            <e9 xmlns:a=\"http://www.ietf.org\"></e9>\n           </e8>\n       </e7>\n   \
            </e6>\n</doc>";
        assert_eq!(canonical(text), expected);
    }

    /// REC-xml-c14n11 §3.4, "Character Modifications and Character References", without its DTD.
    #[test]
    fn characters_are_escaped_in_one_way() {
        let text = "<doc>\n   <text>First line&#x0d;&#10;Second line</text>\n   \
            <value>&#x32;</value>\n   <compute><![CDATA[value>\"0\" && value<\"10\" \
            ?\"valid\":\"error\"]]></compute>\n   \
            <compute expr='value>\"0\" &amp;&amp; value&lt;\"10\" ?\"valid\":\"error\"'>valid\
            </compute>\n   <norm attr=' &apos;   &#x20;&#13;&#xa;&#9;   &apos; '/>\n</doc>";
        let expected = "<doc>\n   <text>First line&#xD;\nSecond line</text>\n   \
            <value>2</value>\n   <compute>value&gt;\"0\" &amp;&amp; value&lt;\"10\" \
            ?\"valid\":\"error\"</compute>\n   <compute expr=\"value>&quot;0&quot; &amp;&amp; \
            value&lt;&quot;10&quot; ?&quot;valid&quot;:&quot;error&quot;\">valid</compute>\n   \
            <norm attr=\" '    &#xD;&#xA;&#x9;   ' \"></norm>\n</doc>";
        assert_eq!(canonical(text), expected);
    }
}
