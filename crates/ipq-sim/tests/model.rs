//! The simulated kernel against an independent model of it, told the same.
//!
//! Both are told what bytes say, which is what the fuzz targets do: the bytes that a failure prints can be kept as a seed
//! of the target. `PROPTEST_CASES` makes the run longer, `PROPTEST_RNG_SEED` another one.

use ipq_sim::fuzzing::{operations, user_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What is mostly 0, as numbers are.
fn numbers(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![7 => Just(0), 3 => 0..6_u8, 1 => any::<u8>()], 0..most)
}

/// Attributes that are sound.
fn attributes() -> impl Strategy<Value = Vec<u8>> {
    vec((prop_oneof![4 => 1..6_u16, 1 => 0..24_u16], numbers(16)), 0..4).prop_map(|attributes| {
        let mut bytes = vec![0, 0, 0, 0];
        for (kind, data) in attributes {
            let len = u16::try_from(4 + data.len()).expect("it is short");
            bytes.extend([len.to_le_bytes(), kind.to_le_bytes()].concat());
            bytes.extend(&data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    })
}

/// A message that may make sense, little-endian, under the port ids that programs have.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let ip_queue = (select(vec![0x11_u16, 0x11, 0x12, 0x12, 0x13, 2]), numbers(80));
    let nfqueue = (select(vec![0x301_u16, 0x302, 0x302, 0x303, 0x300]), attributes());
    let flags = prop_oneof![6 => Just(5_u16), 2 => Just(1), 1 => any::<u16>()];
    let body = prop_oneof![ip_queue, nfqueue];
    (flags, 1000..1003_u32, body).prop_map(|(flags, port_id, (message_type, body))| {
        let len = u32::try_from(16 + body.len()).expect("it is short");
        let mut message = len.to_le_bytes().to_vec();
        message.extend([message_type.to_le_bytes(), flags.to_le_bytes()].concat());
        message.extend([7_u32.to_le_bytes(), port_id.to_le_bytes()].concat());
        message.extend(body);
        message
    })
}

/// Who says something, and how.
fn said() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), message()).prop_map(|(how, message)| {
        let len = u16::try_from(message.len()).expect("it is short");
        [&[how][..], &len.to_le_bytes(), &message].concat()
    })
}

proptest! {
    #[test]
    fn kernel_and_model_say_the_same_of_any_operations(data in vec(any::<u8>(), 0..3000)) {
        operations(&data);
    }

    #[test]
    fn kernel_and_model_say_the_same_of_any_bytes(data in vec(any::<u8>(), 0..600)) {
        user_bytes(&data);
    }

    #[test]
    fn kernel_and_model_say_the_same_of_nearly_sound_messages(
        kind in any::<u8>(),
        said in vec(said(), 1..20),
    ) {
        const BIG_ENDIAN: u8 = 2;
        let kind = kind & !BIG_ENDIAN;
        user_bytes(&[&[kind][..], &said.concat()].concat());
    }
}
