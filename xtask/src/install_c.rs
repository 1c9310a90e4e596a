//! `cargo xtask install-c`: libipq as C programs want it, built and put in its place.
//!
//! cargo makes the static library of `crates/ipq-capi`. The shared one is linked from it here, by the C compiler: a
//! `cdylib` comes with a version script of rustc's own, beside which the linker takes no other, so that its symbols could
//! not have versions.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Args, at};
use crate::tool::{Outcome, root, run as call};

/// Where everything that is not code lies.
const CRATE: &str = "crates/ipq-capi";

/// What programs that were linked with the library look for.
const SONAME: &str = "libipq.so.0";

/// The headers, by their place among the headers of the system.
const HEADERS: [&str; 3] = ["libipq.h", "libipq/libipq.h", "linux/netfilter_ipv4/ip_queue.h"];

/// Builds and installs.
pub(crate) fn run(args: &Args) -> Outcome {
    let place = args.place()?;
    let built = args.build("--package ipq-capi --lib")?.join("libipq_capi.a");
    let map = source("libipq.map");
    let exported = read(&map)?;
    let symbols = symbols(&exported);
    let library = place.directory("lib")?;
    link(&built, &symbols, &map, &library.join(SONAME))?;
    place.link(Path::new(SONAME), Path::new("lib/libipq.so"))?;
    archive(&built, &symbols, &library.join("libipq.a"))?;

    let description = read(&source("libipq.pc.in"))?
        .replace("@PREFIX@", &args.prefix.display().to_string())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    place.write("lib/pkgconfig/libipq.pc", description.as_bytes())?;
    for header in HEADERS {
        place.copy(&source("include").join(header), Path::new("include").join(header))?;
    }
    for page in pages()? {
        let name = page.file_name().unwrap_or_default();
        place.copy(&page, Path::new("share/man/man3").join(name))?;
        for function in other_names(&page)? {
            place.link(Path::new(name), &Path::new("share/man/man3").join(function + ".3"))?;
        }
    }
    println!("installed libipq in {}", place.root.display());
    Ok(())
}

/// The symbols that the map exports, in its order.
fn symbols(map: &str) -> Vec<&str> {
    let lines = map.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_suffix(';'))
        .filter(|name| name.starts_with("ipq_"))
        .collect()
}

/// Links the shared library out of what the symbols need.
fn link(built: &Path, symbols: &[&str], map: &Path, library: &Path) -> Outcome {
    let mut compiler = Command::new(compiler());
    let fresh = library.with_extension("new");
    compiler.args(["-shared", "-o"]).arg(&fresh);
    compiler.arg(format!("-Wl,-soname,{SONAME}"));
    compiler.arg(format!("-Wl,--version-script={}", map.display()));
    compiler.args(symbols.iter().map(|symbol| format!("-Wl,--undefined={symbol}")));
    compiler.args(["-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,defs", "-Wl,-z,relro,-z,now"]);
    if env::var_os("CARGO_LLVM_COV").is_some() {
        // What writes the counts at the end of a program. rustc asks for it where it links by itself.
        compiler.arg("-Wl,--undefined=__llvm_profile_runtime");
    }
    compiler.arg(built);
    compiler.args(["-lgcc_s", "-lpthread", "-ldl", "-lrt", "-lm"]);
    call(compiler)?;
    // Programs that run with the present one keep it.
    fs::rename(&fresh, library).map_err(|error| at(library, &error))
}

/// Makes the static library of one object, in which the symbols are all that is seen from outside: a program may be linked
/// with another library in Rust, which has some of the same.
fn archive(built: &Path, symbols: &[&str], library: &Path) -> Outcome {
    let object = library.with_extension("o");
    let mut linker = Command::new(compiler());
    linker.args(["-nostdlib", "-no-pie", "-Wl,-r", "-Wl,--gc-sections", "-Wl,--strip-debug"]);
    linker.args(symbols.iter().map(|symbol| format!("-Wl,--undefined={symbol}")));
    linker.arg("-o").arg(&object).arg(built);
    call(linker)?;
    let mut copy = Command::new("objcopy");
    // What only the compiler looks at, and upsets ar where it has a plug-in of another LLVM.
    copy.args(["--remove-section=.llvmbc", "--remove-section=.llvmcmd"]);
    copy.args(symbols.iter().map(|symbol| format!("--keep-global-symbol={symbol}"))).arg(&object);
    call(copy)?;
    let fresh = library.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut archiver = Command::new("ar");
    archiver.arg("rcsD").args([&fresh, &object]);
    call(archiver)?;
    fs::rename(&fresh, library).map_err(|error| at(library, &error))?;
    fs::remove_file(&object).map_err(|error| at(&object, &error))
}

fn compiler() -> OsString {
    env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// The manual pages, sorted.
fn pages() -> Result<Vec<PathBuf>, String> {
    let directory = source("man");
    let entries = fs::read_dir(&directory).map_err(|error| at(&directory, &error))?;
    let mut pages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    pages.sort();
    Ok(pages)
}

/// The functions that a page is about beyond that in its file's name.
fn other_names(page: &Path) -> Result<Vec<String>, String> {
    let text = read(page)?;
    let names = text.lines().take_while(|line| !line.starts_with(".Nd"));
    let names = names.filter_map(|line| line.strip_prefix(".Nm ")?.split(' ').next());
    let own = page.file_stem().unwrap_or_default();
    Ok(names.filter(|&name| name != own).map(str::to_owned).collect())
}

fn source(name: &str) -> PathBuf {
    root().join(CRATE).join(name)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| at(path, &error))
}
