//! A program in C that calls everything with anything that its contract allows.

use core::ffi::{CStr, c_int, c_uint};
use core::ptr::{null, null_mut};

use arbitrary::Arbitrary;
use ipq_proto::netlink::HEADER_LEN;
use ipq_proto::{Errno, Family};
use ipq_sys::fuzzing::{Bytes, Said, in_words, structure};

use super::kernels::Behind;
use crate::additions::{
    Verdict, ipq_errdetail, ipq_get_statistics, ipq_handle_error, ipq_set_verdicts, ipq_set_vwmark,
    ipq_strerror,
};
use crate::calls::{
    ipq_create_handle, ipq_ctl, ipq_destroy_handle, ipq_errstr, ipq_get_msgerr, ipq_get_packet,
    ipq_message_type, ipq_read, ipq_set_mode, ipq_set_verdict,
};
use crate::handle::Handle;
use crate::statistics::Statistics;

/// What the program does, and its kernel.
#[derive(Arbitrary, Debug)]
struct Input {
    is_simulated: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Say(Said),
    /// The next attempt to send fails, or does not.
    Send(Option<u8>),
    /// The simulated host sends a packet.
    Packet(Bytes),
    Mode(u8, u32),
    Read(u16, i8),
    /// Looks at a message that it has from elsewhere.
    Look(Bytes),
    Decide(Choice),
    Mark(Choice, u64),
    DecideMany(Vec<Choice>),
    Statistics(u8),
    Texts(i32),
    /// Uses a handle that is none.
    Astray(u16),
    Null,
}

/// A verdict, for the packet that was read so many packets ago, or for one that never was.
#[derive(Arbitrary, Debug)]
struct Choice {
    which: u8,
    other: Option<u64>,
    verdict: u8,
    replacement: Bytes,
}

/// The program in words.
pub fn c_library_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Input { is_simulated, steps } = structure(data)?;
    Some(in_words(format!("is_simulated: {is_simulated}"), &steps))
}

/// Runs the program that `data` describes.
///
/// # Panics
///
/// If a function panics or says what is not true. What it reads beyond its arguments, the address sanitizer sees.
pub fn c_library(data: &[u8]) {
    let Some(input) = structure::<Input>(data) else { return };
    let behind = Behind::new(input.is_simulated);
    let handle = behind.open().expect("there is nothing that could fail");
    let mut program = Program { behind, handle, ids: Vec::new(), packets: 0 };
    for step in &input.steps {
        program.step(step);
        let detail = text(ipq_errdetail());
        assert!(!detail.to_bytes().starts_with(b"a bug in libipq"), "a panic was caught");
    }
    assert_eq!(ipq_destroy_handle(handle), 0);
    assert_eq!(ipq_destroy_handle(handle), -1, "it is gone");
}

/// A text that the library returned.
fn text<'t>(text: *const core::ffi::c_char) -> &'t CStr {
    assert!(!text.is_null());
    // SAFETY: not null, and a string, as the function that returned it promises.
    unsafe { CStr::from_ptr(text) }
}

struct Program {
    behind: Behind,
    handle: *mut Handle,
    ids: Vec<u64>,
    packets: u64,
}

impl Program {
    fn step(&mut self, step: &Step) {
        match step {
            // Transports of this library do not lie of lengths.
            Step::Say(Said::Lie(..)) => (),
            Step::Say(said) => {
                if let Behind::Script(script) = &self.behind {
                    script.state().lines.push_back(said.clone());
                }
            }
            Step::Send(errno) => {
                if let Behind::Script(script) = &self.behind {
                    let sending = errno.map_or(Ok(()), |errno| Err(Errno(errno.into())));
                    script.state().sendings.push_back(sending);
                }
            }
            Step::Packet(packet) => {
                if let Behind::Simulated(kernel) = &self.behind {
                    kernel.send(Family::Ipv4, packet);
                }
            }
            Step::Mode(mode, range) => {
                let sent = ipq_set_mode(self.handle, *mode, *range as usize);
                assert!(sent == -1 || sent > 16, "{sent}");
            }
            Step::Read(len, timeout) => self.read((*len).into(), (*timeout).into()),
            Step::Look(bytes) => look(bytes),
            Step::Decide(choice) => self.decide(choice, None),
            Step::Mark(choice, mark) => self.decide(choice, Some(*mark)),
            Step::DecideMany(choices) => self.decide_many(choices),
            Step::Statistics(size) => self.statistics((*size).into()),
            Step::Texts(number) => {
                assert!(!text(ipq_errstr()).is_empty());
                assert!(!text(ipq_strerror(*number)).is_empty());
                assert!(ipq_handle_error(self.handle) >= 0);
                assert_eq!(ipq_ctl(self.handle, *number), 1);
            }
            Step::Astray(offset) => {
                let astray = self.handle.wrapping_byte_add(usize::from(*offset) + 1);
                assert_eq!(ipq_set_mode(astray, 2, 0), -1);
                assert_eq!(ipq_destroy_handle(astray), -1);
            }
            Step::Null => nothing(),
        }
    }

    fn read(&mut self, len: usize, timeout: c_int) {
        let mut buffer = vec![0; len];
        // SAFETY: it has that length.
        let read = unsafe { ipq_read(self.handle, buffer.as_mut_ptr(), len, timeout) };
        let Ok(read @ 1..) = usize::try_from(read) else {
            assert!(read == 0 || read == -1, "{read}");
            return;
        };
        assert!(read <= len && read >= HEADER_LEN, "{read} of {len} bytes");
        // What is not there cannot be used.
        buffer.truncate(read);
        buffer.shrink_to_fit();
        // SAFETY: filled by `ipq_read`.
        let packet = unsafe { ipq_get_packet(buffer.as_ptr()) };
        // SAFETY: likewise.
        let (message_type, errno) = (unsafe { ipq_message_type(buffer.as_ptr()) }, unsafe {
            ipq_get_msgerr(buffer.as_ptr())
        });
        assert!((0..=0xffff).contains(&message_type));
        assert!(errno == -1 || message_type == 2);
        if packet.is_null() {
            assert_ne!(message_type, 0x13, "a packet that is none");
            return;
        }
        assert_eq!(packet.cast_const(), buffer[HEADER_LEN..].as_ptr());
        self.packets += 1;
        let id = buffer[HEADER_LEN..].first_chunk().copied().expect("a packet message is longer");
        self.ids.push(u64::from_ne_bytes(id));
    }

    fn id(&self, choice: &Choice) -> u64 {
        let which = usize::from(choice.which) % self.ids.len().max(1);
        choice.other.or_else(|| self.ids.iter().rev().nth(which).copied()).unwrap_or(0)
    }

    fn decide(&self, choice: &Choice, mark: Option<u64>) {
        let (id, verdict) = (self.id(choice), c_uint::from(choice.verdict));
        let (len, buffer) = (choice.replacement.len(), choice.replacement.as_ptr().cast_mut());
        let sent = match mark {
            // SAFETY: the replacement has that length, and is only read.
            None => unsafe { ipq_set_verdict(self.handle, id, verdict, len, buffer) },
            // SAFETY: likewise.
            Some(mark) => unsafe { ipq_set_vwmark(self.handle, id, verdict, mark, len, buffer) },
        };
        assert!(sent == -1 || usize::try_from(sent).is_ok_and(|sent| sent > len), "{sent}");
    }

    fn decide_many(&self, choices: &[Choice]) {
        let verdict = |choice: &Choice| {
            let (id, value) = (self.id(choice), c_uint::from(choice.verdict));
            Verdict::new(id, value, &choice.replacement)
        };
        let verdicts: Vec<Verdict> = choices.iter().map(verdict).collect();
        // SAFETY: so many, and their replacements are there.
        let sent = unsafe { ipq_set_verdicts(self.handle, verdicts.as_ptr(), verdicts.len()) };
        assert!(sent == -1 || usize::try_from(sent).is_ok_and(|sent| sent <= verdicts.len()));
    }

    fn statistics(&self, size: usize) {
        let mut bytes = vec![0xa5; size];
        // SAFETY: there is room for so many.
        let told = unsafe { ipq_get_statistics(self.handle, bytes.as_mut_ptr(), size) };
        assert_eq!(told, 0);
        if let Some(packets) = bytes.first_chunk() {
            assert_eq!(u64::from_ne_bytes(*packets), self.packets);
        }
        let known = size.min(size_of::<Statistics>());
        assert!(bytes[known..].iter().all(|&byte| byte == 0));
    }
}

/// Looks at a message that is as long as it says, but for one that says something absurd.
fn look(bytes: &[u8]) {
    let claimed = bytes.first_chunk().map_or(0, |len| u32::from_ne_bytes(*len) as usize);
    let mut buffer = bytes.to_vec();
    buffer.resize(claimed.clamp(HEADER_LEN, 1 << 12), 0);
    buffer.shrink_to_fit();
    let buffer = buffer.as_ptr();
    // SAFETY: a message of that length.
    let message_type = unsafe { ipq_message_type(buffer) };
    // SAFETY: likewise.
    let errno = unsafe { ipq_get_msgerr(buffer) };
    assert!((0..=0xffff).contains(&message_type));
    assert!(errno == -1 || message_type == 2);
    // SAFETY: likewise.
    let packet = unsafe { ipq_get_packet(buffer) };
    assert!(packet.is_null() || message_type == 0x13);
}

/// All functions without a handle, a buffer, or a protocol.
fn nothing() {
    assert!(ipq_create_handle(0, 0).is_null());
    assert_eq!(ipq_destroy_handle(null_mut()), 0);
    assert_eq!(ipq_set_mode(null(), 1, 0), -1);
    // SAFETY: here and below, null is allowed.
    assert_eq!(unsafe { ipq_message_type(null()) }, -1);
    // SAFETY: likewise.
    assert!(unsafe { ipq_get_packet(null()) }.is_null());
    // SAFETY: likewise.
    assert_eq!(unsafe { ipq_get_msgerr(null()) }, -1);
    // SAFETY: likewise.
    assert_eq!(unsafe { ipq_read(null(), null_mut(), 100, -1) }, -1);
    // SAFETY: likewise.
    assert_eq!(unsafe { ipq_set_verdict(null(), 0, 0, 1, null_mut()) }, -1);
    // SAFETY: likewise.
    assert_eq!(unsafe { ipq_set_verdicts(null(), null(), 1) }, -1);
    // SAFETY: likewise.
    assert_eq!(unsafe { ipq_get_statistics(null(), null_mut(), 8) }, -1);
}
