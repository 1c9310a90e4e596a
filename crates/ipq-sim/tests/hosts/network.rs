//! Two hosts, and between them the kernel.

use core::net::IpAddr;

use ipq_proto::Family;
use ipq_sim::{Builder, Device, Host, Kernel};

/// A kernel that forwards between two hosts, both families.
pub(crate) struct Network {
    pub(crate) kernel: Kernel,
    pub(crate) client: Host,
    pub(crate) server: Host,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::with(Kernel::builder(), 1500)
    }

    /// A network whose second link takes packets of so many bytes.
    pub(crate) fn with(builder: Builder, mtu: usize) -> Self {
        let device = |name, number: u8| {
            Device::ethernet(name)
                .address(format!("10.0.{number}.1/24").parse().unwrap())
                .address(format!("fd00:{number}::1/64").parse().unwrap())
        };
        let kernel = builder.device(device("eth0", 0)).device(device("eth1", 1).mtu(mtu)).build();
        let client = kernel.host("eth0", addresses(0));
        let server = kernel.host("eth1", addresses(1));
        Self { kernel, client, server }
    }
}

fn addresses(number: u8) -> [IpAddr; 2] {
    [format!("10.0.{number}.2"), format!("fd00:{number}::2")].map(|text| text.parse().unwrap())
}

/// Bytes that differ from place to place.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * at % 251).unwrap()).collect()
}

/// The sum that the kernel keeps.
pub(crate) fn assert_all_accounted(kernel: &Kernel) {
    let totals = kernel.totals();
    let ended = totals.delivered + totals.dropped + totals.fragmented + totals.reassembled;
    assert_eq!(totals.entered, ended + totals.incomplete + totals.queued, "{totals:?}");
}

/// Both families.
pub(crate) const FAMILIES: [Family; 2] = Family::ALL;
