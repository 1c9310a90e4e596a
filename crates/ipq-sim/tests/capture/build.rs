//! Captures, built by hand, right and wrong.

/// A pcap file, or one section after the other of a pcapng file.
#[derive(Clone, Default)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    big_endian: bool,
}

/// The magic number of a pcap file.
pub(crate) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(crate) const MODIFIED: u32 = 0xa1b2_cd34;

/// The options of a pcapng interface.
pub(crate) const TSRESOL: u16 = 9;
pub(crate) const TSOFFSET: u16 = 14;

impl File {
    pub(crate) fn pcap(big_endian: bool, magic: u32, link_type: u32) -> Self {
        let file = Self { bytes: Vec::new(), big_endian };
        file.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65_535).u32(link_type)
    }

    /// A record of a pcap file; `original_len` is that on the wire.
    pub(crate) fn record(self, time: (u32, u32), data: &[u8], original_len: u32) -> Self {
        self.u32(time.0).u32(time.1).u32(len(data)).u32(original_len).raw(data)
    }

    pub(crate) fn pcapng(big_endian: bool) -> Self {
        Self { bytes: Vec::new(), big_endian }.section()
    }

    /// Another section, in the other byte order.
    pub(crate) fn other_section(mut self) -> Self {
        self.big_endian = !self.big_endian;
        self.section()
    }

    fn section(self) -> Self {
        self.block(0x0a0d_0d0a, |body| body.u32(0x1a2b_3c4d).u16(1).u16(0).raw(&[0xff; 8]))
    }

    /// An interface whose options are single bytes or eight bytes, as they are.
    pub(crate) fn interface(self, link_type: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Self {
        self.block(1, |body| {
            let body = body.u16(link_type).u16(0).u32(snap_len);
            options.iter().fold(body, |body, (code, value)| {
                body.u16(*code).u16(u16::try_from(value.len()).expect("short")).raw(value).pad()
            })
        })
    }

    pub(crate) fn enhanced(self, interface: u32, ticks: u64, data: &[u8], original: u32) -> Self {
        self.block(6, |body| {
            body.u32(interface).ticks(ticks).u32(len(data)).u32(original).raw(data).pad()
        })
    }

    pub(crate) fn simple(self, data: &[u8], original_len: u32) -> Self {
        self.block(3, |body| body.u32(original_len).raw(data).pad())
    }

    pub(crate) fn obsolete(self, interface: u16, ticks: u64, data: &[u8], original: u32) -> Self {
        self.block(2, |body| {
            let body = body.u16(interface).u16(0xffff).ticks(ticks);
            body.u32(len(data)).u32(original).raw(data).pad()
        })
    }

    /// A pcapng block with right lengths at both ends.
    pub(crate) fn block(self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
        let body = body(Self { bytes: Vec::new(), big_endian: self.big_endian }).bytes;
        let total = len(&body) + 12;
        self.u32(kind).u32(total).raw(&body).u32(total)
    }

    pub(crate) fn u16(self, number: u16) -> Self {
        let bytes = if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.raw(&bytes)
    }

    pub(crate) fn u32(self, number: u32) -> Self {
        let bytes = if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.raw(&bytes)
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn ticks(self, ticks: u64) -> Self {
        let [high, low] = [ticks >> 32, ticks & 0xffff_ffff];
        let half = |ticks| u32::try_from(ticks).expect("32 bits");
        self.u32(half(high)).u32(half(low))
    }

    fn pad(mut self) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

fn len(data: &[u8]) -> u32 {
    u32::try_from(data.len()).expect("short")
}

/// An IPv4 packet of `len` bytes, at least 20 and below 256.
pub(crate) fn ipv4(len: u8) -> Vec<u8> {
    let mut packet = vec![0; usize::from(len)];
    (packet[0], packet[3], packet[8], packet[9]) = (0x45, len, 64, 253);
    packet
}

/// An IPv6 packet with `payload_len` bytes, below 256, behind its header.
pub(crate) fn ipv6(payload_len: u8) -> Vec<u8> {
    let mut packet = vec![0; 40 + usize::from(payload_len)];
    (packet[0], packet[5], packet[6], packet[7]) = (0x60, payload_len, 253, 64);
    packet
}
