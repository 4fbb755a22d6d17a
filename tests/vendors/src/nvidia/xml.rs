//! The XML of manifests and its enveloped signature.
//!
//! Every document is written twice: as NVIDIA serves it, and in canonical form (W3C "Canonical XML"
//! 1.1) by hand, so that what the verifier's own canonicalization makes is compared with something
//! else than itself.

use ring::digest::{SHA384, digest};

use super::certificates::Issued;
use super::knobs::{Algorithm, Edited, KeyInfo, Layout, ManifestKnobs, Signer};
use super::manifest::{Manifest, Reference};
use crate::amd::keys::P384Key;
use crate::base64::base64;

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const HASHES: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
const RIM_MODEL: &str = "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N: &str = "http://www.w3.org/2006/12/xml-c14n11";
const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
const SHA384_URI: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const SHA256_URI: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// How the same XML is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Served,
    Canonical,
}

/// The served document, signed by the first of `chain` (leaf to root) and then bent.
pub fn signed(manifest: &Manifest, chain: &[Issued; 4], knobs: &ManifestKnobs) -> String {
    let canonical = document(manifest, Form::Canonical, "");
    let stated = base64(digest(&SHA384, canonical.as_bytes()).as_ref());
    let impostor = P384Key::derive(&[0; 32], "impostor manifest signature");
    let signer = match knobs.signed_by {
        Signer::Rightful => &chain[0].key,
        Signer::Impostor => &impostor,
    };
    let value = base64(&signer.sign_raw(signed_info(&stated, knobs, Form::Canonical).as_bytes()));
    let inside = match knobs.layout {
        Layout::PayloadInSignature => payload(manifest, Form::Served),
        _ => String::new(),
    };
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\">{}<ds:SignatureValue>{}</ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data>{}</ds:X509Data></ds:KeyInfo>{inside}</ds:Signature>",
        signed_info(&stated, knobs, Form::Served),
        broken_lines(&value),
        certificates(chain, knobs.key_info),
    );
    let signatures = match knobs.layout {
        Layout::NoSignature => String::new(),
        Layout::TwoSignatures => signature.repeat(2),
        _ => signature,
    };
    let served = document(manifest, Form::Served, &signatures);
    laid_out(edited(served, manifest, knobs.edited), knobs.layout)
}

/// The document with `signatures` in their place at its end.
fn document(manifest: &Manifest, form: Form, signatures: &str) -> String {
    let tag = "0".repeat(96);
    let root = match form {
        Form::Served => format!(
            "<SoftwareIdentity xmlns=\"{SWID}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASHES}\" \
             corpus=\"false\" name=\"{}\" patch=\"false\" supplemental=\"false\" tagId=\"{tag}\" \
             version=\"1.0\" tagVersion=\"0\">",
            manifest.product
        ),
        Form::Canonical => format!(
            "<SoftwareIdentity xmlns=\"{SWID}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASHES}\" \
             corpus=\"false\" name=\"{}\" patch=\"false\" supplemental=\"false\" tagId=\"{tag}\" \
             tagVersion=\"0\" version=\"1.0\">",
            manifest.product
        ),
    };
    format!(
        "{root}\n    {}\n    {}\n    {}\n{signatures}</SoftwareIdentity>",
        empty(
            "ns0:Entity",
            "name=\"NVIDIA Corporation\" role=\"softwareCreator tagCreator\"",
            form
        ),
        meta(manifest, form),
        payload(manifest, form),
    )
}

fn meta(manifest: &Manifest, form: Form) -> String {
    let Manifest {
        product,
        edition,
        version,
        ..
    } = manifest;
    let attributes = match form {
        Form::Served => format!(
            "xmlns:ns1=\"{RIM_MODEL}\" colloquialVersion=\"{version}\" edition=\"{edition}\" \
             product=\"{product}\" revision=\"r1\" PayloadType=\"direct\" \
             ns1:BindingSpec=\"RIMIM\" ns1:BindingSpecVersion=\"1.01\" \
             ns1:PlatformManufacturerId=\"5703\" \
             ns1:PlatformManufacturerStr=\"NVIDIA Corporation\" ns1:PlatformModel=\"{product}\" \
             ns1:FirmwareManufacturer=\"NVIDIA Corporation\" ns1:FirmwareManufacturerId=\"5703\""
        ),
        Form::Canonical => format!(
            "xmlns:ns1=\"{RIM_MODEL}\" PayloadType=\"direct\" colloquialVersion=\"{version}\" \
             edition=\"{edition}\" product=\"{product}\" revision=\"r1\" \
             ns1:BindingSpec=\"RIMIM\" ns1:BindingSpecVersion=\"1.01\" \
             ns1:FirmwareManufacturer=\"NVIDIA Corporation\" ns1:FirmwareManufacturerId=\"5703\" \
             ns1:PlatformManufacturerId=\"5703\" \
             ns1:PlatformManufacturerStr=\"NVIDIA Corporation\" ns1:PlatformModel=\"{product}\""
        ),
    };
    empty("ns0:Meta", &attributes, form)
}

fn payload(manifest: &Manifest, form: Form) -> String {
    let resources: String = manifest
        .values
        .iter()
        .map(|value| format!("        {}\n", resource(value, form)))
        .collect();
    format!("<ns0:Payload xmlns:SHA384=\"{HASHES}\">\n{resources}    </ns0:Payload>")
}

fn resource(value: &Reference, form: Form) -> String {
    let index = value.index;
    let active = if value.active { "True" } else { "False" };
    let count = value.alternatives.len();
    let hashes: String = value
        .alternatives
        .iter()
        .enumerate()
        .map(|(number, hash)| format!(" ns2:Hash{number}=\"{}\"", hex(hash)))
        .collect();
    let attributes = match form {
        Form::Served => format!(
            "type=\"Measurement\" index=\"{index}\" active=\"{active}\" \
             alternatives=\"{count}\"{hashes} name=\"Measurement_{index}\" size=\"48\""
        ),
        Form::Canonical => format!(
            "active=\"{active}\" alternatives=\"{count}\" index=\"{index}\" \
             name=\"Measurement_{index}\" size=\"48\" type=\"Measurement\"{hashes}"
        ),
    };
    empty("ns0:Resource", &attributes, form)
}

/// In canonical form an element stands alone and declares every namespace that is in scope there.
fn signed_info(stated_digest: &str, knobs: &ManifestKnobs, form: Form) -> String {
    let canonicalization = usual_unless(knobs, Algorithm::Canonicalization, C14N, EXCLUSIVE_C14N);
    let method = usual_unless(
        knobs,
        Algorithm::SignatureMethod,
        ECDSA_SHA384,
        ECDSA_SHA256,
    );
    let digest_method = usual_unless(knobs, Algorithm::Digest, SHA384_URI, SHA256_URI);
    let transforms: &[&str] = match knobs.algorithm {
        Algorithm::NoEnveloped => &[C14N],
        Algorithm::MoreTransforms => &[ENVELOPED, C14N, C14N],
        _ => &[ENVELOPED, C14N],
    };
    let algorithm = |element: &str, uri: &str| {
        empty(
            &format!("ds:{element}"),
            &format!("Algorithm=\"{uri}\""),
            form,
        )
    };
    let transforms: String = transforms
        .iter()
        .map(|uri| algorithm("Transform", uri))
        .collect();
    let namespaces = match form {
        Form::Served => String::new(),
        Form::Canonical => format!(
            " xmlns=\"{SWID}\" xmlns:ds=\"{DSIG}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASHES}\""
        ),
    };
    let uri = match knobs.layout {
        Layout::PartialReference => "#Payload",
        _ => "",
    };
    format!(
        "<ds:SignedInfo{namespaces}>{}{}<ds:Reference URI=\"{uri}\">\
         <ds:Transforms>{transforms}</ds:Transforms>{}\
         <ds:DigestValue>{stated_digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>",
        algorithm("CanonicalizationMethod", canonicalization),
        algorithm("SignatureMethod", method),
        algorithm("DigestMethod", digest_method),
    )
}

fn usual_unless<'a>(
    knobs: &ManifestKnobs,
    bent: Algorithm,
    usual: &'a str,
    other: &'a str,
) -> &'a str {
    if knobs.algorithm == bent {
        other
    } else {
        usual
    }
}

fn empty(element: &str, attributes: &str, form: Form) -> String {
    match form {
        Form::Served => format!("<{element} {attributes}/>"),
        Form::Canonical => format!("<{element} {attributes}></{element}>"),
    }
}

fn certificates(chain: &[Issued; 4], key_info: KeyInfo) -> String {
    let [leaf, l3, ca, root] = chain;
    let chosen: &[&Issued] = match key_info {
        KeyInfo::LeafToRoot => &[leaf, l3, ca, root],
        KeyInfo::WithoutRoot => &[leaf, l3, ca],
        KeyInfo::RootFirst => &[root, leaf, l3, ca],
        KeyInfo::WithoutIntermediate => &[leaf, ca, root],
        KeyInfo::Nothing => &[],
    };
    chosen
        .iter()
        .map(|issued| {
            let text = broken_lines(&base64(&issued.der));
            format!("<ds:X509Certificate>{text}</ds:X509Certificate>")
        })
        .collect()
}

/// Base64 in lines of 64 characters.
fn broken_lines(text: &str) -> String {
    text.as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", std::str::from_utf8(line).expect("base64 is ASCII")))
        .collect()
}

fn edited(served: String, manifest: &Manifest, edit: Edited) -> String {
    let once = |from: &str, to: &str| {
        assert!(served.contains(from), "{from}");
        served.replacen(from, to, 1)
    };
    match edit {
        Edited::Nothing => served,
        Edited::Version => once(
            &format!("colloquialVersion=\"{}\"", manifest.version),
            "colloquialVersion=\"999.99\"",
        ),
        Edited::Active => once("active=\"False\"", "active=\"True\""),
        Edited::Value => once("ns2:Hash0=\"0", "ns2:Hash0=\"1"),
        Edited::Space => once("    </ns0:Payload>", "     </ns0:Payload>"),
        Edited::Digest => once("<ds:DigestValue>", "<ds:DigestValue>AAAA"),
        Edited::Spelling => once(
            "name=\"NVIDIA Corporation\" role=\"softwareCreator tagCreator\"/>",
            "role='softwareCreator tagCreator'   name='NVIDIA Corporation'></ns0:Entity>",
        ),
    }
}

fn laid_out(served: String, layout: Layout) -> String {
    let inside =
        |extra: &str| served.replacen("\n    <ns0:Meta", &format!("{extra}\n    <ns0:Meta"), 1);
    match layout {
        Layout::XmlDeclaration => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{served}"),
        Layout::Comment => inside("<!-- a comment is not canonical -->"),
        Layout::ProcessingInstruction => inside("<?instruction?>"),
        Layout::Doctype => format!("<!DOCTYPE SoftwareIdentity>\n{served}"),
        _ => served,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
