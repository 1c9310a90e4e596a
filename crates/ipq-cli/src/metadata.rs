//! What a kernel says of a packet beside its bytes, in words: [`Metadata`].

use core::fmt;

use ipq::Packet;

/// All that there is, with commas between; what is absent is left out.
pub(crate) struct Metadata<'p, 'b>(pub(crate) &'p Packet<'b>);

impl fmt::Display for Metadata<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet = self.0;
        let id = packet.id();
        write!(
            f,
            "{} id {id}, hook {}, protocol {}",
            id.queue(),
            packet.hook(),
            packet.hw_protocol()
        )?;
        for (name, device) in [("in", packet.input_device()), ("out", packet.output_device())] {
            if !device.is_empty() {
                write!(f, ", {name} {device}")?;
            }
        }
        let (input, output) = packet.bridge_ports();
        for (name, port) in [("in", input), ("out", output)] {
            if let Some(index) = port {
                write!(f, ", bridge port {name} #{index}")?;
            }
        }
        if !packet.hw_address().is_empty() {
            write!(f, ", from {} (type {})", packet.hw_address(), packet.hw_type().0)?;
        }
        if packet.mark() != 0 {
            write!(f, ", mark {:#x}", packet.mark())?;
        }
        for (name, number) in [
            ("uid", packet.uid()),
            ("gid", packet.gid()),
            ("priority", packet.priority()),
            ("whole length", packet.packet_len()),
            ("checksums", packet.skb_info().map(|info| info.0)),
            ("conntrack", packet.conntrack_info()),
        ] {
            if let Some(number) = number {
                write!(f, ", {name} {number}")?;
            }
        }
        if let Some(vlan) = packet.vlan() {
            write!(f, ", vlan {} ({})", vlan.tci & 0xfff, vlan.protocol)?;
        }
        match packet.security_context() {
            Some(context) => write!(f, ", context {}", context.escape_ascii()),
            None => Ok(()),
        }
    }
}
