//! The built-in programs of scenarios: they pass, drop or change packets.

use etherparse::{NetHeaders, PacketHeaders, PayloadSlice, TransportHeader};
use ipq::{Error, Event, Packet, PacketId, Queue, Verdict};
use ipq_sim::{Application as Described, Work};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A program, and where it is in its work.
pub(super) struct Application<'d> {
    described: &'d Described,
    /// Decides which packets its work is done to.
    random: ChaCha8Rng,
    packets: u64,
}

/// What is to become of a packet.
enum Decision {
    Verdict(Verdict),
    Replace(Vec<u8>),
}

impl<'d> Application<'d> {
    pub(super) fn new(described: &'d Described, seed: u64) -> Self {
        Self { described, random: ChaCha8Rng::seed_from_u64(seed), packets: 0 }
    }

    /// Does its work until nothing can come any more. What is temporary is tried again.
    pub(super) fn serve(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let mut buffer = vec![0; queue.buffer_len()];
        loop {
            let (id, decision) = match queue.read(&mut buffer, None) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                    (packet.id(), self.decide(&packet))
                }
                Ok(Some(_)) | Err(Error::Message(_)) => continue,
                Err(error) if error.is_temporary() => continue,
                Err(error) => return Err(error),
            };
            send(queue, id, &decision)?;
        }
    }

    fn decide(&mut self, packet: &Packet<'_>) -> Decision {
        self.packets += 1;
        let is_meant = self.is_meant();
        match self.described.work {
            Work::Drop if is_meant => Decision::Verdict(Verdict::Drop),
            Work::Mangle if is_meant => match self.mangle(packet.payload()) {
                Some(mangled) => Decision::Replace(mangled),
                None => Decision::Verdict(Verdict::Accept),
            },
            _ => Decision::Verdict(Verdict::Accept),
        }
    }

    /// Whether the work is done to this packet.
    fn is_meant(&mut self) -> bool {
        let in_turn = self.described.every.is_none_or(|every| self.packets.is_multiple_of(every));
        let drawn = match self.described.rate {
            // 32 bits are exact enough for any rate that anybody writes down.
            Some(rate) => f64::from(self.random.next_u32()) < rate * f64::from(u32::MAX),
            None => true,
        };
        in_turn && drawn
    }

    /// The packet with what is looked for replaced, if it is in there.
    fn mangle(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (find, replace) =
            (self.described.find.as_ref()?.as_bytes(), self.described.replace.as_ref()?.as_bytes());
        let payload = payload_of(packet)?;
        let start = packet.len() - payload.len();
        let at = payload.windows(find.len()).position(|window| window == find)? + start;
        let mut mangled = packet.to_vec();
        mangled[at..at + find.len()].copy_from_slice(replace);
        if !self.described.keep_checksums {
            repair_checksum(&mut mangled)?;
        }
        Some(mangled)
    }
}

/// Sends a decision until it is taken.
fn send(queue: &mut Queue, id: PacketId, decision: &Decision) -> Result<(), Error> {
    loop {
        let sent = match decision {
            Decision::Verdict(verdict) => queue.verdict(id, *verdict),
            Decision::Replace(packet) => queue.verdict_with(id, Verdict::Accept, packet),
        };
        match sent {
            Err(error) if error.is_temporary() => (),
            sent => return sent,
        }
    }
}

/// What TCP or UDP carries in a packet that is no fragment.
fn payload_of(packet: &[u8]) -> Option<&[u8]> {
    match PacketHeaders::from_ip_slice(packet).ok()?.payload {
        PayloadSlice::Udp(payload) | PayloadSlice::Tcp(payload) => Some(payload),
        _ => None,
    }
}

/// Makes the checksum of TCP or UDP right again.
fn repair_checksum(packet: &mut [u8]) -> Option<()> {
    let headers = PacketHeaders::from_ip_slice(packet).ok()?;
    let mut transport = headers.transport?;
    let payload = payload_of(packet)?;
    match headers.net? {
        NetHeaders::Ipv4(ip, _) => transport.update_checksum_ipv4(&ip, payload).ok()?,
        NetHeaders::Ipv6(ip, _) => transport.update_checksum_ipv6(&ip, payload).ok()?,
        NetHeaders::Arp(_) => return None,
    }
    let start = packet.len() - payload.len() - transport.header_len();
    let (at, checksum) = match transport {
        TransportHeader::Udp(udp) => (6, udp.checksum),
        TransportHeader::Tcp(tcp) => (16, tcp.checksum),
        _ => return None,
    };
    let field = packet.get_mut(start + at..start + at + 2)?;
    field.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}
