//! Changing DER by its structure: elements stay elements, and lengths around them fit.

use crate::mutate::Numbers;

/// An element: its tag and what is in it.
enum Element {
    Primitive(u8, Vec<u8>),
    Constructed(u8, Vec<Element>),
}

/// The DER, changed in one element; as it is if it cannot be taken apart.
pub fn changed(der: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let Some(mut elements) = parse(der) else {
        return der.to_vec();
    };
    let count = elements.iter().map(count).sum();
    let mut place = numbers.below(count);
    change(&mut elements, &mut place, numbers);
    write(&elements)
}

fn parse(mut der: &[u8]) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while let Some((&tag, rest)) = der.split_first() {
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            _ => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                let len = digits
                    .iter()
                    .fold(0, |len, digit| len << 8 | usize::from(*digit));
                (len, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(len)?;
        elements.push(match tag & 0x20 != 0 {
            true => Element::Constructed(tag, parse(content)?),
            // Extensions hold DER inside OCTET STRINGs.
            false => match parse(content).filter(|_| tag == 0x04 && len > 2) {
                Some(inner) => Element::Constructed(tag, inner),
                None => Element::Primitive(tag, content.to_vec()),
            },
        });
        der = rest;
    }
    Some(elements)
}

fn count(element: &Element) -> usize {
    1 + match element {
        Element::Primitive(..) => 0,
        Element::Constructed(_, inner) => inner.iter().map(count).sum(),
    }
}

fn change(elements: &mut Vec<Element>, place: &mut usize, numbers: &mut Numbers) -> bool {
    for at in 0..elements.len() {
        if *place == 0 {
            replace(elements, at, numbers);
            return true;
        }
        *place -= 1;
        if let Some(Element::Constructed(_, inner)) = elements.get_mut(at)
            && change(inner, place, numbers)
        {
            return true;
        }
    }
    false
}

fn replace(elements: &mut Vec<Element>, at: usize, numbers: &mut Numbers) {
    match numbers.below(8) {
        0 => drop(elements.remove(at)),
        1 => {
            let copy = write(std::slice::from_ref(&elements[at]));
            elements.extend(parse(&copy).into_iter().flatten());
        }
        2 => {
            let other = numbers.below(elements.len());
            elements.swap(at, other);
        }
        _ => match &mut elements[at] {
            Element::Constructed(tag, _) => *tag ^= 1 << numbers.below(8),
            Element::Primitive(tag, content) => match numbers.below(4) {
                0 => *tag ^= 1 << numbers.below(5),
                1 => content.push(numbers.below(256) as u8),
                2 => drop(content.pop()),
                _ => {
                    let place = numbers.below(content.len());
                    if let Some(byte) = content.get_mut(place) {
                        *byte ^= 1 << numbers.below(8);
                    }
                }
            },
        },
    }
}

fn write(elements: &[Element]) -> Vec<u8> {
    let mut out = Vec::new();
    for element in elements {
        let (tag, content) = match element {
            Element::Primitive(tag, content) => (*tag, content.clone()),
            Element::Constructed(tag, inner) => (*tag, write(inner)),
        };
        out.push(tag);
        match content.len() {
            short @ 0..=0x7F => out.push(short as u8),
            long => {
                let digits = long.to_be_bytes();
                let digits: Vec<u8> = digits.into_iter().skip_while(|it| *it == 0).collect();
                out.push(0x80 | digits.len() as u8);
                out.extend(digits);
            }
        }
        out.extend(content);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_der_is_written_back_unchanged() {
        let der = [
            0x30, 0x0b, 0x02, 0x01, 0x05, 0x04, 0x04, 0x30, 0x02, 0x05, 0x00, 0x05, 0x00,
        ];
        assert_eq!(write(&parse(&der).expect("DER")), der);
    }
}
