//! `ipq-cli decode`: what the bytes of messages mean, and where they are wrong.

mod dialect;
mod hex;
mod input;
mod report;

use core::ops::ControlFlow;
use std::io::{self, BufWriter, Read, Write};

use crate::args::{DecodeArgs, OrderArg, ProtocolArg, WordArg};
use crate::failure::Failure;
use dialect::{Dialect, Protocol, Told};
use input::Datagram;
use report::Report;

/// Runs the command; says whether every message made sense.
pub(crate) fn run(args: &DecodeArgs) -> Result<bool, Failure> {
    let input = input::open(&args.file)?;
    let out = BufWriter::new(io::stdout().lock());
    run_on(args, input, out, crate::stderr())
}

/// Decodes what `input` has to `out`, and sums up on `err`.
pub(crate) fn run_on(
    args: &DecodeArgs,
    input: impl Read,
    out: impl Write,
    err: impl Write,
) -> Result<bool, Failure> {
    let mut report = Report::new(out, args.json, args.hex);
    let told = Told::from(args);
    let read = input::read(&args.file, input, args.format, |number, datagram| {
        decode(&mut report, told, number, datagram)
    });
    // What was read before it went wrong is shown.
    if !matches!(read, Err(Failure::Output(_))) {
        report.finish(err)?;
    }
    read?;
    Ok(report.is_all_right())
}

fn decode(
    report: &mut Report<impl Write>,
    told: Told,
    number: u64,
    datagram: &Datagram,
) -> Result<(), Failure> {
    let told = Told { protocol: told.protocol.or(datagram.protocol), ..told };
    let dialect = Dialect::guess(told, &datagram.bytes);
    report.begin(number, datagram, dialect)?;
    let shown =
        dialect.decode(&datagram.bytes, |item| match report.item(datagram, dialect, &item) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
    match shown {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error.into()),
    }
}

impl From<&DecodeArgs> for Told {
    fn from(args: &DecodeArgs) -> Self {
        Self {
            protocol: match args.protocol {
                ProtocolArg::Auto => None,
                ProtocolArg::IpQueue => Some(Protocol::IpQueue),
                ProtocolArg::Nfqueue => Some(Protocol::Nfqueue),
            },
            word_len: match args.word {
                WordArg::Auto => None,
                WordArg::Bits32 => Some(4),
                WordArg::Bits64 => Some(8),
            },
            big_endian: match args.order {
                OrderArg::Auto => None,
                OrderArg::Little => Some(false),
                OrderArg::Big => Some(true),
            },
        }
    }
}
