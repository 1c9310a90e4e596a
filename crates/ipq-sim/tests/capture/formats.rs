//! Every format there is, built by hand.

use super::build::{File, MICROSECONDS, MODIFIED, NANOSECONDS, TSOFFSET, TSRESOL, ipv4, ipv6};
use super::check;

#[test]
fn pcap_in_either_byte_order_and_both_precisions() {
    for big_endian in [false, true] {
        let file = File::pcap(big_endian, MICROSECONDS, 101)
            .record((1, 2), &ipv4(20), 20)
            .record((u32::MAX, 999_999), &ipv6(4), 44)
            .record((0, 1_000_001), &ipv4(28)[..24], 28);
        check(
            &file.bytes,
            &[
                "1 1.000002000 ipv4 20",
                "2 4294967295.999999000 ipv6 44",
                "3 1.000001000 ipv4 24 of 28",
            ],
        );
        let file = File::pcap(big_endian, NANOSECONDS, 101).record((1, 2), &ipv4(20), 20);
        check(&file.bytes, &["1 1.000000002 ipv4 20"]);
    }
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    for big_endian in [false, true] {
        let mut file = File::pcap(big_endian, MODIFIED, 101);
        for _ in 0..2 {
            file = file.u32(1).u32(2).u32(20).u32(20).raw(&[0xee; 8]).raw(&ipv4(20));
        }
        check(&file.bytes, &["1 1.000002000 ipv4 20", "2 1.000002000 ipv4 20"]);
    }
}

#[test]
fn the_upper_half_of_the_link_type_says_other_things() {
    // A frame check sequence of four bytes.
    let frame = [[0; 12].as_slice(), &[8, 0], &ipv4(20), &[0xee; 4]].concat();
    let file = File::pcap(true, MICROSECONDS, 0x4400_0001).record((0, 0), &frame, 38);
    check(&file.bytes, &["1 0.000000000 ipv4 20"]);
}

#[test]
fn a_header_without_packets_is_a_capture() {
    check(&File::pcap(true, MICROSECONDS, 101).bytes, &[]);
    check(&File::pcapng(true).bytes, &[]);
    check(&File::pcapng(false).interface(1, 0, &[]).bytes, &[]);
}

#[test]
fn pcapng_has_sections_and_interfaces() {
    let ethernet = [[0; 12].as_slice(), &[0x86, 0xdd], &ipv6(4)].concat();
    for big_endian in [false, true] {
        let file = File::pcapng(big_endian)
            .interface(101, 0, &[])
            .interface(1, 0, &[(TSRESOL, &[9])])
            .enhanced(0, 1_000_001, &ipv4(21), 21)
            .block(0x0bad, |body| body.raw(&[0xee; 16]))
            .enhanced(1, 1_000_000_001, &ethernet, 58)
            .enhanced(1, 0, &ethernet[..54], 58)
            .other_section()
            .interface(160, 0, &[])
            .interface(228, 0, &[])
            .enhanced(0, 0, &ipv4(20), 20)
            .obsolete(1, (7 << 32) * 1_000_000, &ipv4(20), 20);
        check(
            &file.bytes,
            &[
                "1 1.000001000 ipv4 21",
                "2 1.000000001 ipv6 44",
                "3 0.000000000 ipv6 40 of 44",
                "4 no IP",
                "5 30064771072.000000000 ipv4 20",
            ],
        );
    }
}

#[test]
fn pcapng_clocks_are_in_the_order_of_their_section() {
    for (big_endian, offset) in [(false, (-2_i64).to_le_bytes()), (true, (-2_i64).to_be_bytes())] {
        let file = File::pcapng(big_endian)
            .interface(101, 0, &[(TSRESOL, &[0x80 | 0x0a]), (TSOFFSET, &offset)])
            .enhanced(0, 1536, &ipv4(20), 20)
            .enhanced(0, 3 << 10, &ipv4(20), 20);
        check(&file.bytes, &["1 -0.500000000 ipv4 20", "2 1.000000000 ipv4 20"]);
    }
    // What is behind the end of the options is none.
    let file = File::pcapng(false).interface(101, 0, &[(0, &[]), (TSRESOL, &[9])]).enhanced(
        0,
        1,
        &ipv4(20),
        20,
    );
    check(&file.bytes, &["1 0.000001000 ipv4 20"]);
}

#[test]
fn a_time_beyond_all_bounds_costs_one_packet() {
    let file = File::pcapng(false)
        .interface(101, 0, &[(TSRESOL, &[0])])
        .enhanced(0, u64::MAX, &ipv4(20), 20)
        .enhanced(0, 5, &ipv4(20), 20);
    check(
        &file.bytes,
        &["1 time of 18446744073709551615 ticks is too far off", "2 5.000000000 ipv4 20"],
    );
}

#[test]
fn simple_packets_are_of_the_first_interface_and_its_snap_length() {
    let file = File::pcapng(true)
        .simple(&ipv4(20), 20)
        .interface(101, 30, &[])
        .simple(&ipv4(21), 21)
        .simple(&ipv4(50)[..30], 50)
        .simple(&ipv4(24)[..20], 24);
    check(
        &file.bytes,
        &[
            "1 interface 0 is not among the 0 described so far",
            "2 0.000000000 ipv4 21",
            "3 0.000000000 ipv4 30 of 50",
            "4 block claims 24 bytes of a packet and has room for 20",
        ],
    );
}

#[test]
fn a_packet_block_that_lies_costs_one_packet() {
    let lying = |kind: u32, captured: u32| {
        let file = File::pcapng(false).interface(101, 0, &[]);
        let file =
            file.block(kind, |body| body.u32(0).u32(0).u32(0).u32(captured).u32(20).raw(&ipv4(20)));
        file.enhanced(0, 0, &ipv4(20), 20).bytes
    };
    for kind in [2, 6] {
        for captured in [21, 24, u32::MAX - 4, u32::MAX - 3, u32::MAX] {
            let lie = format!("1 block claims {captured} bytes of a packet and has room for 20");
            check(&lying(kind, captured), &[&lie, "2 0.000000000 ipv4 20"]);
        }
        let short = File::pcapng(true).block(kind, |body| body.raw(&[0; 16]));
        check(&short.bytes, &["1 28 bytes are too few for a packet block, the shortest has 32"]);
    }
    let short = File::pcapng(true).block(3, |body| body);
    check(&short.bytes, &["1 12 bytes are too few for a packet block, the shortest has 16"]);
    let file = File::pcapng(true).interface(101, 0, &[]).enhanced(1, 0, &ipv4(20), 20);
    check(&file.bytes, &["1 interface 1 is not among the 1 described so far"]);
}

#[test]
fn nflog_attributes_are_in_the_order_of_the_file() {
    for big_endian in [false, true] {
        let message = |file: File| file.raw(&[2, 0, 0, 0]).u16(24).u16(9).raw(&ipv4(20));
        let file = File::pcap(big_endian, MICROSECONDS, 239).u32(0).u32(0).u32(28).u32(28);
        check(&message(file).bytes, &["1 0.000000000 ipv4 20"]);
        let file = File::pcapng(!big_endian).other_section().interface(239, 0, &[]);
        let file = file.block(6, |body| message(body.u32(0).u32(0).u32(0).u32(28).u32(28)));
        check(&file.bytes, &["1 0.000000000 ipv4 20"]);
    }
}

#[test]
fn vlan_stacks_of_any_depth_are_read() {
    let mut frame = vec![0; 12];
    let mut file = File::pcap(false, MICROSECONDS, 1);
    for tag in [[0x88, 0xa8], [0x81, 0x00], [0x91, 0x00], [0x81, 0x00], [0x81, 0x00]] {
        frame.extend(tag);
        frame.extend([0, 1]);
        let whole = [frame.as_slice(), &[8, 0], &ipv4(28), &[0xee; 10]].concat();
        let len = u32::try_from(whole.len()).unwrap();
        file = file.record((0, 0), &whole, len);
    }
    let expected = ["1", "2", "3", "4", "5"].map(|number| format!("{number} 0.000000000 ipv4 28"));
    check(&file.bytes, &expected.each_ref().map(String::as_str));
}
