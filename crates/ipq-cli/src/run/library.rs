//! The library that is preloaded: [`Library`].

use std::env;
use std::path::PathBuf;

use super::program::Image;
use super::trouble::Trouble;

/// Its file's name.
const NAME: &str = "libipq_preload.so";

/// Names the library where it is in none of the usual places.
const VARIABLE: &str = "IPQ_PRELOAD_LIBRARY";

/// The library that is preloaded.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) image: Image,
}

impl Library {
    /// Finds it: where the environment says, or else beside this program, where cargo builds it and where an installation
    /// has it.
    pub(super) fn find() -> Result<Self, Trouble> {
        let places = match env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => vec![PathBuf::from(path)],
            None => usual_places(),
        };
        let Some(path) = places.iter().find(|place| place.is_file()) else {
            return Err(Trouble::NoLibrary(places));
        };
        // The program may change its directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if path.as_os_str().as_encoded_bytes().iter().any(|byte| b": ".contains(byte)) {
            let why = "the dynamic linker takes a blank or colon in a path for its end; move it";
            return Err(Trouble::BadLibrary(path, why.to_owned()));
        }
        match Image::read(&path) {
            Ok(Some(image)) => Ok(Self { path, image }),
            Ok(None) => Err(Trouble::BadLibrary(path, "it is no ELF file".to_owned())),
            Err(error) => Err(Trouble::BadLibrary(path, error.to_string())),
        }
    }
}

fn usual_places() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    let directory = program.as_deref().and_then(|program| program.parent());
    let Some(directory) = directory else { return vec![PathBuf::from(NAME)] };
    ["", "../lib", "../lib/ipq"].iter().map(|place| directory.join(place).join(NAME)).collect()
}
