//! A device and its certificate chain: the firmware's attestation key, the chip's own key, NVIDIA's
//! two provisioning authorities and its device root.

use super::certificates::{
    FOREVER, Issued, ORGANISATION, Template, basic_constraints, ca_extensions, certificate,
    extension, issue, key_id, key_info, leaf_extensions, name, self_signed, serial,
};
use super::chip::Chip;
use super::evidence::Evidence;
use super::knobs::{CertifiedFirmware, ChainShape, DeviceKnobs, Leaf, Signer, Windows};
use crate::amd::keys::P384Key;
use crate::der::{bits, context, integer, octets, oid, pem, printable, sequence, tlv, utf8};
use crate::intel::keys::{Key as P256Key, derive_bytes};

const ROOT_LABEL: &str = "NVIDIA Device Identity CA";
const ROOT: usize = 4;

/// A GPU or a switch.
#[derive(Clone)]
pub struct Device {
    pub chip: Chip,
    /// The number by which other devices of a node name it.
    pub number: [u8; 8],
    /// SHA-384 of the firmware that holds the attestation key.
    pub firmware_id: [u8; 48],
    /// Leaf first.
    pub(super) chain: Vec<Issued>,
    impostor: P384Key,
    knobs: DeviceKnobs,
}

impl Device {
    pub(super) fn make(
        seed: &[u8; 32],
        now: u64,
        chip: Chip,
        label: &str,
        knobs: DeviceKnobs,
    ) -> Self {
        let secret = derive_bytes(seed, &format!("{chip:?} device {label}"));
        let number = secret[..8].try_into().expect("8 of 32 bytes");
        let maker = Maker {
            seed,
            secret,
            now,
            chip,
            knobs: &knobs,
            impostor: P384Key::derive(seed, "impostor device"),
        };
        let firmware_id = firmware(chip, "firmware");
        let chain = maker.chain(&number, &firmware_id);
        Self {
            chip,
            number,
            firmware_id,
            chain,
            impostor: maker.impostor,
            knobs,
        }
    }

    /// The last certificate of the chain, DER. Another one than the mock's root if the knobs say so.
    pub fn root(&self) -> &[u8] {
        &self.chain[ROOT].der
    }

    /// The certificate at `place`, counted from the leaf, DER.
    pub fn certificate(&self, place: usize) -> &[u8] {
        &self.chain[place].der
    }

    /// The certificates as the knobs want them handed out.
    pub fn chain_pem(&self) -> Vec<u8> {
        let mut ders: Vec<_> = self.chain.iter().map(|issued| issued.der.clone()).collect();
        let mut extra = String::new();
        match self.knobs.shape {
            ChainShape::Whole => {}
            ChainShape::WithoutRoot => drop(ders.pop()),
            ChainShape::RootTwice => ders.push(ders[ROOT].clone()),
            ChainShape::RootFirst => ders.rotate_right(1),
            ChainShape::Der => return ders.concat(),
            ChainShape::ForeignBlock => extra = pem("PUBLIC KEY", &[0x30, 0]),
            ChainShape::CutAt(place) => drop(ders[place].pop()),
        }
        let blocks: Vec<_> = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
        [blocks.concat(), extra].concat().into_bytes()
    }

    /// Request and response with the device's signature over both.
    pub fn sign(&self, evidence: &Evidence) -> Vec<u8> {
        let mut bytes = evidence.signed_part();
        let signer = match self.knobs.report_signer {
            Signer::Rightful => &self.chain[0].key,
            Signer::Impostor => &self.impostor,
        };
        bytes.extend(signer.sign_raw(&bytes));
        bytes.extend_from_slice(&evidence.after_signature);
        bytes
    }

    /// Healthy evidence that answers `nonce`.
    pub fn report(&self, nonce: &[u8; 32]) -> Vec<u8> {
        self.sign(&Evidence::healthy(self, nonce))
    }
}

/// The root of devices; with `dates`, the same key in another certificate.
pub fn root(seed: &[u8; 32], whose: Signer, dates: Option<(u64, u64)>) -> Issued {
    let key = match whose {
        Signer::Rightful => P384Key::derive(seed, ROOT_LABEL),
        Signer::Impostor => P384Key::derive(seed, "impostor device root"),
    };
    let name = name(&[(3, utf8(ROOT_LABEL)), (10, utf8(ORGANISATION))]);
    self_signed(
        name,
        serial(seed, ROOT_LABEL),
        dates.unwrap_or(FOREVER),
        key,
    )
}

fn firmware(chip: Chip, what: &str) -> [u8; 48] {
    ring::digest::digest(&ring::digest::SHA384, format!("{chip:?} {what}").as_bytes())
        .as_ref()
        .try_into()
        .expect("SHA-384 is 48 bytes")
}

struct Maker<'a> {
    seed: &'a [u8; 32],
    secret: [u8; 32],
    now: u64,
    chip: Chip,
    knobs: &'a DeviceKnobs,
    impostor: P384Key,
}

impl Maker<'_> {
    fn chain(&self, number: &[u8; 8], firmware_id: &[u8; 48]) -> Vec<Issued> {
        let root = root(self.seed, self.knobs.root, self.bent_dates(ROOT));
        let identity = self.authority(3, self.chip.identity(), &root);
        let provisioner = self.authority(2, self.chip.provisioner(), &identity);
        let chip = self.chip_certificate(number, &provisioner);
        let leaf = self.leaf(firmware_id, number, &chip);
        vec![leaf, chip, provisioner, identity, root]
    }

    fn authority(&self, place: usize, label: &str, issuer: &Issued) -> Issued {
        let key = P384Key::derive(self.seed, label);
        let template = Template {
            name: name(&[(3, utf8(label)), (10, utf8(ORGANISATION))]),
            serial: serial(self.seed, label),
            dates: self.dates(place),
            extensions: ca_extensions(&key, &issuer.key, self.knobs.flag != Some(place)),
        };
        issue(&template, key, issuer, self.signer(place, issuer))
    }

    fn chip_certificate(&self, number: &[u8; 8], issuer: &Issued) -> Issued {
        let key = P384Key::derive(&self.secret, "chip");
        let serial = [&[self.chip.serial_prefix()][..], number].concat();
        let template = Template {
            name: self.device_name(&serial, "BROM"),
            serial,
            dates: self.dates(1),
            extensions: ca_extensions(&key, &issuer.key, self.knobs.flag != Some(1)),
        };
        issue(&template, key, issuer, self.signer(1, issuer))
    }

    fn leaf(&self, firmware_id: &[u8; 48], number: &[u8; 8], issuer: &Issued) -> Issued {
        let key = P384Key::derive(&self.secret, "attestation");
        let mut serial = key_id(&key).to_vec();
        serial[0] = serial[0] & 0x3F | 0x40;
        let mut extensions = leaf_extensions(&key, &issuer.key);
        if self.knobs.flag == Some(0) {
            extensions.insert(0, basic_constraints(true));
        }
        extensions.push(self.alternative_name(number));
        extensions.extend(self.dice(firmware_id, issuer));
        let template = Template {
            name: self.device_name(&serial, "FMC LF"),
            serial,
            dates: self.dates(0),
            extensions,
        };
        let mut leaf = issue(&template, key, issuer, self.signer(0, issuer));
        if self.knobs.leaf == Leaf::OnAnotherCurve {
            let signer = self.signer(0, issuer);
            leaf.der = certificate(&template, &p256_key_info(self.seed), &issuer.name, signer);
        }
        leaf
    }

    fn device_name(&self, serial: &[u8], part: &str) -> Vec<u8> {
        let is_leaf = part.starts_with("FMC");
        let family = match self.knobs.leaf {
            Leaf::OfAnUnknownChip if is_leaf => "GX900",
            _ => self.chip.family(),
        };
        let processor = self.chip.security_processor();
        let hex: String = serial.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut attributes = vec![
            (6, printable("ZZ")),
            (10, utf8(ORGANISATION)),
            (3, utf8(&format!("{family} A01 {processor} {part}"))),
        ];
        if !(is_leaf && self.knobs.leaf == Leaf::WithoutSerialNumber) {
            attributes.insert(0, (5, printable(&hex)));
        }
        name(&attributes)
    }

    /// DMTF's device name (DSP0274, "otherName").
    fn alternative_name(&self, number: &[u8; 8]) -> Vec<u8> {
        let hex: String = number.iter().map(|byte| format!("{byte:02X}")).collect();
        let text = format!("NVIDIA:{}:{hex}", self.chip.family());
        let other = [
            oid(&[1, 3, 6, 1, 4, 1, 412, 274, 1]),
            context(0, &utf8(&text)),
        ];
        let names = sequence(&[context(0, &other.concat())]);
        extension(&[2, 5, 29, 17], false, &names)
    }

    /// TCG DICE: a composite device id on Hopper and LS10, a `TcbInfo` with a second, all-zero
    /// digest on Blackwell.
    fn dice(&self, firmware_id: &[u8; 48], chip: &Issued) -> Vec<Vec<u8>> {
        let digests = match self.knobs.firmware {
            CertifiedFirmware::Absent => return Vec::new(),
            CertifiedFirmware::Another => vec![firmware(self.chip, "another firmware")],
            CertifiedFirmware::Two => vec![*firmware_id, firmware(self.chip, "another firmware")],
            _ => vec![*firmware_id],
        };
        let ids: Vec<_> = digests.iter().map(fwid).collect();
        let once = match self.chip {
            Chip::Blackwell => {
                let ids = [ids.concat(), fwid(&[0; 48])].concat();
                let info = sequence(&[
                    tlv(0x80, b"NVIDIA"),
                    tlv(0x81, b"GB100 A01 GSP"),
                    tlv(0x82, b"01"),
                    tlv(0x83, &[1]),
                    tlv(0x84, &[0]),
                    tlv(0x85, &[0]),
                    context(6, &ids),
                    tlv(0x87, &[0, 0x80, 0, 0, 1]),
                    tlv(0x88, &[0xC0]),
                    tlv(0x89, &[0]),
                ]);
                extension(&[2, 23, 133, 5, 4, 1, 1], false, &info)
            }
            Chip::Hopper | Chip::Ls10 => {
                let id = [integer(&[1]), key_info(&chip.key), ids.concat()].concat();
                extension(&[2, 23, 133, 5, 4, 1], false, &sequence(&[id]))
            }
        };
        match self.knobs.firmware {
            CertifiedFirmware::TwoExtensions => vec![once.clone(), once],
            _ => vec![once],
        }
    }

    fn signer<'a>(&'a self, place: usize, issuer: &'a Issued) -> &'a P384Key {
        if self.knobs.forged == Some(place) {
            &self.impostor
        } else {
            &issuer.key
        }
    }

    fn dates(&self, place: usize) -> (u64, u64) {
        self.bent_dates(place).unwrap_or(FOREVER)
    }

    fn bent_dates(&self, place: usize) -> Option<(u64, u64)> {
        self.knobs
            .dates
            .filter(|(bent, _)| *bent == place)
            .map(|(_, dates)| dates.two_years_around(self.now))
    }
}

/// A firmware id with SHA-384.
fn fwid(digest: &[u8; 48]) -> Vec<u8> {
    sequence(&[oid(&[2, 16, 840, 1, 101, 3, 4, 2, 2]), octets(digest)])
}

fn p256_key_info(seed: &[u8; 32]) -> Vec<u8> {
    let key = P256Key::derive(seed, "another curve").public_xy();
    sequence(&[
        sequence(&[
            oid(&[1, 2, 840, 10045, 2, 1]),
            oid(&[1, 2, 840, 10045, 3, 1, 7]),
        ]),
        bits(&[&[0x04][..], &key].concat(), 0),
    ])
}
