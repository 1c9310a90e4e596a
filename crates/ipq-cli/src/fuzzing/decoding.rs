//! Any file as the input of `ipq-cli decode`.

use core::iter::once;
use std::io::sink;

use crate::args::{DecodeArgs, FormatArg, OrderArg, ProtocolArg, WordArg};
use crate::decode;

/// Decodes `data` as a file of each format, once with nothing told and once with everything, as text and as JSON.
///
/// # Panics
///
/// If decoding does, or if what is printed is not what the format promises.
pub fn decode_command(data: &[u8]) {
    for format in [FormatArg::Auto, FormatArg::Hex, FormatArg::Pcap, FormatArg::Raw] {
        let guess = DecodeArgs {
            file: "-".into(),
            format,
            protocol: ProtocolArg::Auto,
            word: WordArg::Auto,
            order: OrderArg::Auto,
            hex: false,
            json: true,
        };
        let told = DecodeArgs {
            protocol: ProtocolArg::IpQueue,
            word: WordArg::Bits32,
            order: OrderArg::Big,
            hex: true,
            json: false,
            ..guess.clone()
        };
        for args in once(guess).chain(once(told)) {
            let mut out = Vec::new();
            if let Err(failure) = decode::run_on(&args, data, &mut out, sink()) {
                assert!(!failure.to_string().is_empty());
            }
            let out = String::from_utf8(out).expect("what is printed is text");
            let is_line =
                |line: &str| !args.json || serde_json::from_str::<serde_json::Value>(line).is_ok();
            assert!(out.lines().all(is_line), "{out}");
        }
    }
}
