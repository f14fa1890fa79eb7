//! Colours in configurations.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::ConfigType;

/// An opaque colour; written `#RGB`, `#RRGGBB` or a CSS basic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Color {
    /// Red, 0..=255.
    pub r: u8,
    /// Green, 0..=255.
    pub g: u8,
    /// Blue, 0..=255.
    pub b: u8,
}

const NAMES: [(&str, u32); 17] = [
    ("aqua", 0x00_ffff),
    ("black", 0x00_0000),
    ("blue", 0x00_00ff),
    ("fuchsia", 0xff_00ff),
    ("gray", 0x80_8080),
    ("green", 0x00_8000),
    ("grey", 0x80_8080),
    ("lime", 0x00_ff00),
    ("maroon", 0x80_0000),
    ("navy", 0x00_0080),
    ("olive", 0x80_8000),
    ("purple", 0x80_0080),
    ("red", 0xff_0000),
    ("silver", 0xc0_c0c0),
    ("teal", 0x00_8080),
    ("white", 0xff_ffff),
    ("yellow", 0xff_ff00),
];

impl Color {
    /// A colour from `0xRRGGBB`; higher bits are ignored.
    pub const fn from_hex(rgb: u32) -> Self {
        Self { r: (rgb >> 16) as u8, g: (rgb >> 8) as u8, b: rgb as u8 }
    }

    /// Reads `#RGB`, `#RRGGBB` or a CSS basic name, upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(digits) = text.strip_prefix('#') else {
            let (_, rgb) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text))?;
            return Some(Self::from_hex(*rgb));
        };
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(digits, 16).ok()?;
        match digits.len() {
            3 => Some(Self::from_hex((value >> 8 & 15) * 0x11_0000 + (value >> 4 & 15) * 0x1100 + (value & 15) * 0x11)),
            6 => Some(Self::from_hex(value)),
            _ => None,
        }
    }

    /// Perceived brightness, 0..=255: `.299R + .587G + .114B`.
    pub fn brightness(self) -> f64 {
        0.299 * f64::from(self.r) + 0.587 * f64::from(self.g) + 0.114 * f64::from(self.b)
    }

    /// Black on bright colours (brightness above 150), white on dark ones.
    pub fn readable_ink(self) -> Self {
        Self::from_hex(if self.brightness() > 150.0 { 0 } else { 0xff_ffff })
    }
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02X}{:02X}{:02X}", self.r, self.g, self.b)
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("`{text}` is no colour: expected #RGB, #RRGGBB or a CSS basic name"))
        })
    }
}

impl ConfigType for Color {
    fn schema() -> Value {
        let mut pattern = String::from("^(#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}");
        for (name, _) in NAMES {
            pattern.push('|');
            for letter in name.chars() {
                pattern.extend(['[', letter, letter.to_ascii_uppercase(), ']']);
            }
        }
        pattern.push_str(")$");
        json!({"type": "string", "pattern": pattern, "x-widget": "color"})
    }
}

#[cfg(test)]
mod tests {
    use super::Color;

    #[test]
    fn parses() {
        for (text, expected) in [
            ("#f80", Some(0xff_8800)),
            ("#0A84FF", Some(0x0a_84ff)),
            ("Teal", Some(0x00_8080)),
            ("#12345", None),
            ("#+12345", None),
            ("orangered", None),
            ("", None),
        ] {
            assert_eq!(Color::parse(text), expected.map(Color::from_hex), "{text}");
        }
        assert_eq!(Color::from_hex(0x0a_84ff).to_string(), "#0A84FF");
    }
}
