//! Packets that are too long for a link: cut up, and put together again.

use std::collections::BTreeMap;

use core::net::IpAddr;
use core::time::Duration;

use etherparse::defrag::IpDefragBuf;
use etherparse::{
    IpFragOffset, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeader, Ipv6FragmentHeaderSlice,
};
use ipq_proto::Family;
use ipq_sys::Clock;

/// How long fragments wait for the others, as in Linux (`net.ipv4.ipfrag_time`).
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of an IPv6 header, and of the header that a fragment has after it.
const IPV6_LEN: usize = 40;
const FRAGMENT_LEN: usize = 8;

/// The longest packet of a family, in bytes. The length that IPv6 gives does not count its own header.
pub(crate) const fn longest(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0xffff,
        Family::Ipv6 => IPV6_LEN + 0xffff,
    }
}

/// The fragments of `packet` on a link that takes `mtu` bytes, under `identification` where the packet has none of its
/// own; `None` if it may not be cut up.
///
/// A packet of IPv6 is cut up only by the host that sends it, which `is_own` says. That host cuts up a datagram of IPv4
/// too that must not be cut up on its way: a program made it longer than its socket knew.
pub(crate) fn fragments(
    family: Family,
    packet: &[u8],
    mtu: usize,
    identification: u32,
    is_own: bool,
) -> Option<Vec<Vec<u8>>> {
    match family {
        Family::Ipv4 => ipv4_fragments(packet, mtu, is_own),
        Family::Ipv6 if is_own => ipv6_fragments(packet, mtu, identification),
        Family::Ipv6 => None,
    }
}

fn ipv4_fragments(packet: &[u8], mtu: usize, is_own: bool) -> Option<Vec<Vec<u8>>> {
    let slice = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let mut header = slice.to_header();
    if header.dont_fragment && !(is_own && header.protocol == IpNumber::UDP) {
        return None;
    }
    let first = usize::from(header.fragment_offset.byte_offset());
    let goes_on = header.more_fragments;
    let payload = &packet[slice.slice().len()..];
    cut(payload, mtu.checked_sub(header.header_len())?)?
        .map(|(offset, part, is_last)| {
            header.fragment_offset = fragment_offset(first + offset)?;
            header.more_fragments = goes_on || !is_last;
            header.set_payload_len(part.len()).ok()?;
            header.header_checksum = header.calc_header_checksum();
            let mut fragment = Vec::with_capacity(header.header_len() + part.len());
            header.write(&mut fragment).ok()?;
            fragment.extend_from_slice(part);
            Some(fragment)
        })
        .collect()
}

fn ipv6_fragments(packet: &[u8], mtu: usize, identification: u32) -> Option<Vec<Vec<u8>>> {
    let (header, payload) = packet.split_at_checked(IPV6_LEN)?;
    let next_header = IpNumber(header[6]);
    // What every router looks at would have to be in every fragment. Hosts here send no such headers.
    if next_header.is_ipv6_ext_header_value() {
        return None;
    }
    cut(payload, mtu.checked_sub(IPV6_LEN + FRAGMENT_LEN)?)?
        .map(|(offset, part, is_last)| {
            let offset = fragment_offset(offset)?;
            let extension =
                Ipv6FragmentHeader::new(next_header, offset, !is_last, identification).to_bytes();
            let mut fragment = header.to_vec();
            let len = u16::try_from(FRAGMENT_LEN + part.len()).ok()?;
            fragment[4..6].copy_from_slice(&len.to_be_bytes());
            fragment[6] = IpNumber::IPV6_FRAGMENTATION_HEADER.0;
            fragment.extend_from_slice(&extension);
            fragment.extend_from_slice(part);
            Some(fragment)
        })
        .collect()
}

/// The parts of a payload of at most `room` bytes, all but the last a multiple of 8: where they start, and whether they
/// are the last.
fn cut(payload: &[u8], room: usize) -> Option<impl Iterator<Item = (usize, &[u8], bool)>> {
    let len = room / 8 * 8;
    let parts = (len > 0).then(|| payload.chunks(len).enumerate())?;
    Some(parts.map(move |(index, part)| (index * len, part, (index + 1) * len >= payload.len())))
}

fn fragment_offset(bytes: usize) -> Option<IpFragOffset> {
    IpFragOffset::try_new(u16::try_from(bytes / 8).ok()?).ok()
}

/// Fragments that wait for others, each with something that goes with it.
#[derive(Debug)]
pub(crate) struct Reassembly<T> {
    trains: BTreeMap<Key, Train<T>>,
    /// How many fragments are in all of them.
    len: usize,
}

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: u8,
}

#[derive(Debug)]
struct Train<T> {
    buffer: IpDefragBuf,
    /// The header of the whole, from the first fragment.
    header: Vec<u8>,
    items: Vec<T>,
    end: Clock,
}

/// What became of a fragment.
#[derive(Debug)]
pub(crate) enum Added<T> {
    /// The packet is whole: its bytes, and what went with the fragments, the last one's last.
    Whole(Vec<u8>, Vec<T>),
    /// It waits for the others.
    Waits,
    /// It is no fragment, or contradicts the others.
    Refused(T),
}

/// One fragment.
struct Fragment<'p> {
    key: Key,
    offset: IpFragOffset,
    more: bool,
    payload: &'p [u8],
    /// What comes before the payload in the whole packet, its length and checksum yet to be set.
    header: Vec<u8>,
}

impl<T> Default for Reassembly<T> {
    fn default() -> Self {
        Self { trains: BTreeMap::new(), len: 0 }
    }
}

impl<T> Reassembly<T> {
    /// Adds a fragment, and what goes with it.
    pub(crate) fn add(&mut self, now: Clock, packet: &[u8], item: T) -> Added<T> {
        let Some(Fragment { key, offset, more, payload, header }) = Fragment::of(packet) else {
            return Added::Refused(item);
        };
        let train = self.trains.entry(key).or_insert_with(|| Train {
            buffer: IpDefragBuf::new(IpNumber(key.protocol), Vec::new(), Vec::new()),
            header: Vec::new(),
            items: Vec::new(),
            end: now.saturating_add(PATIENCE),
        });
        if train.buffer.add(offset, more, payload).is_err() {
            return Added::Refused(item);
        }
        if offset.value() == 0 {
            train.header = header;
        }
        train.items.push(item);
        self.len += 1;
        if !train.buffer.is_complete() {
            return Added::Waits;
        }
        let Some(Train { buffer, header, items, .. }) = self.trains.remove(&key) else {
            return Added::Waits;
        };
        self.len -= items.len();
        Added::Whole(whole(header, &buffer.take_bufs().0), items)
    }

    /// When the next packet is given up.
    pub(crate) fn next_end(&self) -> Option<Clock> {
        self.trains.values().map(|train| train.end).min()
    }

    /// Takes out what goes with fragments that have waited long enough.
    pub(crate) fn expire(&mut self, now: Clock) -> Vec<T> {
        let late = self.trains.extract_if(.., |_, train| train.end <= now);
        let late: Vec<_> = late.flat_map(|(_, train)| train.items).collect();
        self.len -= late.len();
        late
    }

    /// How many fragments wait.
    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }
}

impl<'p> Fragment<'p> {
    fn of(packet: &'p [u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::of_ipv4(packet),
            _ => Self::of_ipv6(packet),
        }
    }

    fn of_ipv4(packet: &'p [u8]) -> Option<Self> {
        let slice = Ipv4HeaderSlice::from_slice(packet).ok()?;
        let (header, payload) = packet.split_at_checked(slice.slice().len())?;
        let mut header = header.to_vec();
        // Neither offset nor flags.
        header[6..8].fill(0);
        slice.is_fragmenting_payload().then(|| Self {
            key: Key {
                source: slice.source_addr().into(),
                destination: slice.destination_addr().into(),
                identification: slice.identification().into(),
                protocol: slice.protocol().0,
            },
            offset: slice.fragments_offset(),
            more: slice.more_fragments(),
            payload,
            header,
        })
    }

    /// One whose fragment header comes right after that of IPv6, as hosts here send it.
    fn of_ipv6(packet: &'p [u8]) -> Option<Self> {
        let (header, rest) = packet.split_at_checked(IPV6_LEN)?;
        let is_fragment = IpNumber(header[6]) == IpNumber::IPV6_FRAGMENTATION_HEADER;
        let slice = Ipv6FragmentHeaderSlice::from_slice(rest).ok().filter(|_| is_fragment)?;
        let address = |at: usize| Some(IpAddr::from(*header.get(at..)?.first_chunk::<16>()?));
        let mut whole = header.to_vec();
        whole[6] = slice.next_header().0;
        Some(Self {
            key: Key {
                source: address(8)?,
                destination: address(24)?,
                identification: slice.identification(),
                protocol: slice.next_header().0,
            },
            offset: slice.fragment_offset(),
            more: slice.more_fragments(),
            payload: rest.get(FRAGMENT_LEN..)?,
            header: whole,
        })
    }
}

/// A packet of this header and payload, its length and checksum set.
fn whole(mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let is_ipv4 = header.first().is_some_and(|version| version >> 4 == 4);
    let family = if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 };
    let len = (header.len() + payload.len()).min(longest(family));
    if is_ipv4 {
        let total = u16::try_from(len).unwrap_or(u16::MAX);
        header[2..4].copy_from_slice(&total.to_be_bytes());
        if let Ok(slice) = Ipv4HeaderSlice::from_slice(&header) {
            let checksum = slice.to_header().calc_header_checksum();
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
    } else if header.len() == IPV6_LEN {
        let payload_len = u16::try_from(len - IPV6_LEN).unwrap_or(u16::MAX);
        header[4..6].copy_from_slice(&payload_len.to_be_bytes());
    }
    let room = len - header.len();
    header.extend_from_slice(&payload[..room]);
    header
}
