//! The seeds of the fuzz targets are those that the project's files make.

use std::path::PathBuf;

use ipq_tests::seeds;

#[test]
fn seeds_are_what_the_files_of_the_project_make() {
    let missing = seeds::missing().expect("readable files");
    let nothing: [PathBuf; 0] = [];
    assert_eq!(missing, nothing, "cargo xtask fuzz-seeds makes them again");
}

#[test]
fn seeds_are_small() {
    let all = seeds::all().expect("readable files");
    let sizes: Vec<_> = all.iter().map(|seed| seed.bytes.len()).collect();
    assert!(sizes.iter().sum::<usize>() < 512 << 10, "{} bytes", sizes.iter().sum::<usize>());
    assert!(sizes.iter().all(|&size| size < 16 << 10));
}
