//! Networks that the server does not connect to on a client's behalf.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address range in CIDR form: `127.0.0.0/8`, `fd00::/8`. A bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 127.0.0.0/8 or fd00::/8")]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether `ip`, or the IPv4 address that it wraps, lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, unwrap(ip)) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                same(u128::from(network.to_bits()) << 96, u128::from(ip.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => same(network.to_bits(), ip.to_bits(), self.prefix),
            _ => false,
        }
    }
}

fn same(a: u128, b: u128, prefix: u8) -> bool {
    (a ^ b).checked_shr(128 - u32::from(prefix)).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

const V4: [([u8; 4], u8, &str); 15] = [
    ([0, 0, 0, 0], 8, "an unspecified address"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "a carrier-grade NAT address"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local or metadata address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "a reserved address"),
    ([192, 0, 2, 0], 24, "a reserved address"),
    ([192, 88, 99, 0], 24, "a reserved address"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "a reserved address"),
    ([198, 51, 100, 0], 24, "a reserved address"),
    ([203, 0, 113, 0], 24, "a reserved address"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "a reserved address"),
];

/// Global unicast; everything else in IPv6 is refused, and within it these.
const V6_GLOBAL: Network = Network { address: IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), prefix: 3 };
const V6: [([u16; 4], u8, &str); 3] = [
    ([0x2001, 0, 0, 0], 23, "a reserved address"),
    ([0x2001, 0xdb8, 0, 0], 32, "a reserved address"),
    ([0x3fff, 0, 0, 0], 20, "a reserved address"),
];

/// What the address is, where it is refused and the operator did not open its network.
pub(super) fn refused(ip: IpAddr, allow: &[Network]) -> Option<&'static str> {
    if allow.iter().any(|network| network.contains(ip)) {
        return None;
    }
    match unwrap(ip) {
        IpAddr::V4(ip) => V4
            .iter()
            .find(|(network, prefix, _)| {
                Network { address: IpAddr::V4(Ipv4Addr::from(*network)), prefix: *prefix }.contains(IpAddr::V4(ip))
            })
            .map(|found| found.2),
        IpAddr::V6(ip) => refused_v6(ip),
    }
}

fn refused_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if !V6_GLOBAL.contains(IpAddr::V6(ip)) {
        return Some(match ip.segments()[0] {
            0 if ip.is_loopback() => "a loopback address",
            0 if ip.is_unspecified() => "an unspecified address",
            0xfc00..=0xfdff => "a private address",
            0xfe80..=0xfebf => "a link-local or metadata address",
            0xff00..=0xffff => "a multicast address",
            _ => "a reserved address",
        });
    }
    V6.iter()
        .find(|([a, b, c, d], prefix, _)| {
            Network { address: IpAddr::V6(Ipv6Addr::new(*a, *b, *c, *d, 0, 0, 0, 0)), prefix: *prefix }
                .contains(IpAddr::V6(ip))
        })
        .map(|found| found.2)
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible, NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`) address.
fn unwrap(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_and_nothing_else() {
        for (ip, ok) in [
            ("93.184.216.34", true),
            ("1.1.1.1", true),
            ("172.32.0.1", true),
            ("100.128.0.1", true),
            ("2606:4700::1111", true),
            ("127.0.0.1", false),
            ("127.255.255.255", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("224.0.0.1", false),
            ("239.1.1.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("198.18.0.1", false),
            ("192.0.2.1", false),
            ("203.0.113.9", false),
            ("::", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("fec0::1", false),
            ("100::1", false),
            ("64:ff9b:1::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::101:101", true),
            ("2002:7f00:1::", false),
            ("2002:a00:1::1", false),
            ("::127.0.0.1", false),
            ("fd00:ec2::254", false),
        ] {
            assert_eq!(refused(ip.parse().unwrap(), &[]).is_none(), ok, "{ip}");
        }
    }

    #[test]
    fn the_operator_opens_networks() {
        let allow: [Network; 2] = ["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (ip, ok) in [
            ("127.9.9.9", true),
            ("::ffff:127.0.0.1", true),
            ("fd12::1", true),
            ("128.0.0.1", true),
            ("10.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(refused(ip.parse().unwrap(), &allow).is_none(), ok, "{ip}");
        }
        for (text, ok) in [
            ("1.2.3.4", true),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("1.2.3.4/33", false),
            ("::/129", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Network>().is_ok(), ok, "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("10.0.0.1".parse().unwrap()));
    }
}
