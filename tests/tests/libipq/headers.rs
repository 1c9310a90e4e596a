//! The headers, by every name that programs use, in every dialect, beside the headers that they must get along with; and
//! the layouts that they declare.

use std::fs;
use std::process::Command;

use ipq_tests::namespace::Skipped;

use ipq_tests::programs::{Library, library_flags, needs, prefix, succeed};

/// Compilers and dialects.
const DIALECTS: [(&str, &[&str]); 7] = [
    ("gcc", &["-x", "c", "-std=gnu89"]),
    ("gcc", &["-x", "c", "-std=c99"]),
    ("gcc", &["-x", "c", "-std=gnu17"]),
    ("g++", &["-x", "c++", "-std=c++98"]),
    ("g++", &["-x", "c++", "-std=c++20"]),
    ("clang", &["-x", "c", "-std=c11"]),
    ("clang++", &["-x", "c++", "-std=c++17"]),
];

/// What is asked of the headers, and more than programs are asked for.
const STRICT: [&str; 5] = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Sources of which each has to compile.
const SOURCES: [&str; 8] = [
    "#include <libipq.h>\nint (*f)(const struct ipq_handle *, int, ...) = ipq_ctl;\n",
    "#include <libipq/libipq.h>\n#include <libipq.h>\nstruct ipq_handle *h;\n",
    "#include \"libipq.h\"\nipq_id_t id;\nconst char *text(void) { return ipq_errmap[15].text; }\n",
    "#include <linux/netfilter_ipv4/ip_queue.h>\nipq_peer_msg_t message;\nint types[IPQM_MAX + IPQ_COPY_MAX];\n",
    // Names of devices are what these two quarrel about.
    "#include <net/if.h>\n#include <libipq.h>\nchar name[IF_NAMESIZE];\n",
    "#include <linux/if.h>\n#include <libipq.h>\nchar name[IFNAMSIZ];\n",
    "#include <libipq.h>\n#include <net/if.h>\n#include <netinet/in.h>\n#include <netinet/ip.h>\nchar name[IF_NAMESIZE];\n",
    "#include <netinet/in.h>\n#include <linux/netfilter.h>\n#include <libipq.h>\nint verdict = NF_ACCEPT;\n",
];

/// What `struct ipq_handle` and the messages are, on 64 and on 32 bits.
const LAYOUTS: &str = r#"
#include <stddef.h>
#include <libipq.h>
#define WORD sizeof(long)
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type " " #member)
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)

SIZE(ipq_id_t, WORD);
AT(struct ipq_handle, fd, 0);
AT(struct ipq_handle, blocking, 4);
AT(struct ipq_handle, local, 8);
AT(struct ipq_handle, peer, 20);
SIZE(struct ipq_handle, 32);

AT(ipq_packet_msg_t, packet_id, 0);
AT(ipq_packet_msg_t, mark, WORD);
AT(ipq_packet_msg_t, timestamp_sec, 2 * WORD);
AT(ipq_packet_msg_t, timestamp_usec, 3 * WORD);
AT(ipq_packet_msg_t, hook, 4 * WORD);
AT(ipq_packet_msg_t, indev_name, 4 * WORD + 4);
AT(ipq_packet_msg_t, outdev_name, 4 * WORD + 20);
AT(ipq_packet_msg_t, hw_protocol, 4 * WORD + 36);
AT(ipq_packet_msg_t, hw_type, 4 * WORD + 38);
AT(ipq_packet_msg_t, hw_addrlen, 4 * WORD + 40);
AT(ipq_packet_msg_t, hw_addr, 4 * WORD + 41);
AT(ipq_packet_msg_t, data_len, 5 * WORD + 48);
AT(ipq_packet_msg_t, payload, 6 * WORD + 48);
SIZE(ipq_packet_msg_t, WORD == 8 ? 96 : 72);

AT(ipq_mode_msg_t, value, 0);
AT(ipq_mode_msg_t, range, WORD);
SIZE(ipq_mode_msg_t, 2 * WORD);
AT(ipq_verdict_msg_t, value, 0);
AT(ipq_verdict_msg_t, id, WORD);
AT(ipq_verdict_msg_t, data_len, 2 * WORD);
AT(ipq_verdict_msg_t, payload, 3 * WORD);
SIZE(ipq_verdict_msg_t, 3 * WORD);
SIZE(ipq_peer_msg_t, 3 * WORD);

_Static_assert(IPQM_MODE == 0x11 && IPQM_VERDICT == 0x12 && IPQM_PACKET == 0x13 && IPQM_MAX == 0x14, "types");
_Static_assert(IPQ_COPY_NONE == 0 && IPQ_COPY_META == 1 && IPQ_COPY_PACKET == 2, "modes");

AT(struct ipq_options, size, 0);
AT(struct ipq_options, transport, WORD);
AT(struct ipq_options, queue, 2 * WORD);
AT(struct ipq_options, flags, 2 * WORD + 4);
AT(struct ipq_options, maxlen, 2 * WORD + 8);
AT(struct ipq_options, rcvbuf, 2 * WORD + 12);
SIZE(struct ipq_options, 2 * WORD + 16);
AT(struct ipq_verdict, id, 0);
AT(struct ipq_verdict, verdict, WORD);
AT(struct ipq_verdict, data_len, 2 * WORD);
AT(struct ipq_verdict, buf, 3 * WORD);
SIZE(struct ipq_verdict, 4 * WORD);
SIZE(struct ipq_statistics, 64);
"#;

/// Has a compiler look at a source.
fn compile(compiler: &str, options: &[&str], name: &str, source: &str) -> Result<(), Skipped> {
    needs(compiler, "--version").map_err(Skipped)?;
    let file = prefix()?.join(name);
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler);
    command.args(STRICT).args(options).args(library_flags(Library::Shared)?.iter().take(1));
    succeed(command.arg(&file));
    Ok(())
}

fn skipped(test: &str, outcome: Result<(), Skipped>) {
    if let Err(reason) = outcome {
        eprintln!("skipped: headers::{test}: {reason}");
    }
}

#[test]
fn are_clean_by_every_name_in_every_dialect() {
    for (compiler, options) in DIALECTS {
        for (number, source) in SOURCES.iter().enumerate() {
            let name = format!("header-{compiler}{}-{number}.c", options[2]);
            let done = compile(compiler, options, &name, source);
            skipped("are_clean_by_every_name_in_every_dialect", done);
        }
    }
}

/// Whether the C library's headers are there for this word size.
fn has_headers(model: &str) -> Result<(), Skipped> {
    let options = [model, "-fsyntax-only", "-x", "c", "-include", "sys/socket.h", "/dev/null"];
    let said = Command::new("gcc").args(options).output();
    let said = said.map_err(|error| Skipped(format!("gcc: {error}")))?;
    if said.status.success() {
        return Ok(());
    }
    Err(Skipped(format!("gcc {model}: {}", String::from_utf8_lossy(&said.stderr).trim())))
}

#[test]
fn have_the_layouts_of_either_word_size() {
    for model in ["-m64", "-m32"] {
        if let Err(reason) = has_headers(model) {
            skipped("have_the_layouts_of_either_word_size", Err(reason));
            continue;
        }
        let done = compile("gcc", &[model, "-x", "c"], &format!("layouts{model}.c"), LAYOUTS);
        skipped("have_the_layouts_of_either_word_size", done);
    }
}
