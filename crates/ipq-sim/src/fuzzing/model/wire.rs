//! Requests and answers as bytes, written out once more.

/// The word size and byte order of a kernel.
#[derive(Clone, Copy, Debug)]
pub(in crate::fuzzing) struct Layout {
    /// Bytes of a C `long`: 4 or 8.
    pub(in crate::fuzzing) word_len: usize,
    pub(in crate::fuzzing) is_big_endian: bool,
}

/// The header of a netlink message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) message_type: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port_id: u32,
}

/// Bytes of a netlink header.
pub(super) const HEADER_LEN: usize = 16;

pub(super) const REQUEST: u16 = 1;
pub(super) const MULTI: u16 = 2;
pub(super) const ACK: u16 = 4;

const ERROR: u16 = 2;
/// `NLM_F_CAPPED`: the answer repeats the header of the request only.
const CAPPED: u16 = 0x100;

impl Layout {
    /// The number in the first bytes, as many as it has.
    fn number<const LEN: usize>(self, bytes: &[u8]) -> [u8; LEN] {
        let mut number: [u8; LEN] = bytes[..LEN].try_into().expect("as many as were asked for");
        if self.is_big_endian {
            number.reverse();
        }
        number
    }

    pub(super) fn u16(self, bytes: &[u8]) -> u16 {
        u16::from_le_bytes(self.number(bytes))
    }

    pub(super) fn u32(self, bytes: &[u8]) -> u32 {
        u32::from_le_bytes(self.number(bytes))
    }

    /// The word number `index`, where all that comes before it is words.
    pub(super) fn word(self, index: usize, bytes: &[u8]) -> u64 {
        let bytes = &bytes[index * self.word_len..];
        match self.word_len {
            4 => self.u32(bytes).into(),
            _ => u64::from_le_bytes(self.number(bytes)),
        }
    }

    /// Writes a number of which the kernel keeps the lowest `len` bytes.
    pub(in crate::fuzzing) fn put(self, len: usize, number: u64, to: &mut Vec<u8>) {
        let mut bytes = number.to_le_bytes()[..len].to_vec();
        if self.is_big_endian {
            bytes.reverse();
        }
        to.extend(bytes);
    }

    pub(in crate::fuzzing) fn put_word(self, number: u64, to: &mut Vec<u8>) {
        self.put(self.word_len, number, to);
    }

    /// Writes a header for a body of `body_len` bytes.
    pub(in crate::fuzzing) fn put_header(
        self,
        (message_type, flags, sequence, port_id): (u16, u16, u32, u32),
        body_len: usize,
        to: &mut Vec<u8>,
    ) {
        self.put(4, (HEADER_LEN + body_len) as u64, to);
        self.put(2, message_type.into(), to);
        self.put(2, flags.into(), to);
        self.put(4, sequence.into(), to);
        self.put(4, port_id.into(), to);
    }

    /// The message that `bytes` begin with, header and all; `None` if its length lies.
    pub(super) fn message(self, bytes: &[u8]) -> Option<(Header, &[u8])> {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let len = usize::try_from(self.u32(bytes)).ok()?;
        if len < HEADER_LEN || len > bytes.len() {
            return None;
        }
        let header = Header {
            message_type: self.u16(&bytes[4..]),
            flags: self.u16(&bytes[6..]),
            sequence: self.u32(&bytes[8..]),
            port_id: self.u32(&bytes[12..]),
        };
        Some((header, &bytes[..len]))
    }

    /// The attributes in `bytes`, type and data, up to the first one whose length lies.
    pub(super) fn attributes(self, mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
        let mut found = Vec::new();
        while bytes.len() >= 4 {
            let len = usize::from(self.u16(bytes));
            if len < 4 || len > bytes.len() {
                break;
            }
            found.push((self.u16(&bytes[2..]) & 0x3fff, &bytes[4..len]));
            bytes = &bytes[aligned(len).min(bytes.len())..];
        }
        found
    }

    /// The answer to `request`, which came on the socket `port_id`: an error with all of it, or an acknowledgement.
    ///
    /// A kernel that has `ip_queue` is an old one, and answers a little differently.
    pub(super) fn answer(
        self,
        (header, request): (Header, &[u8]),
        port_id: u32,
        error: Option<i32>,
        is_old: bool,
    ) -> Vec<u8> {
        let repeated = if error.is_some() { request } else { &request[..HEADER_LEN] };
        let counted = if is_old { repeated.len() } else { aligned(repeated.len()) };
        let flags = if is_old || error.is_some() { 0 } else { CAPPED };
        let mut answer = Vec::new();
        self.put_header((ERROR, flags, header.sequence, port_id), 4 + counted, &mut answer);
        let code = -i64::from(error.unwrap_or(0));
        self.put(4, code.cast_unsigned(), &mut answer);
        answer.extend(repeated);
        answer.resize(aligned(answer.len()), 0);
        answer
    }
}

/// The next multiple of 4.
pub(super) fn aligned(len: usize) -> usize {
    len.div_ceil(4) * 4
}
