//! Writes the seeds of the fuzz targets that are made from files of the project.

#![forbid(unsafe_code)]

use std::io;

use ipq_tests::seeds;

fn main() -> io::Result<()> {
    println!("{} seeds", seeds::write()?);
    Ok(())
}
