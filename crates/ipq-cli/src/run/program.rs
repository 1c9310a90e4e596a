//! The program that is run, and whether a library can be loaded into it: [`Program`].

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use elf::ElfStream;
use elf::abi::{ELFMAGIC, PT_INTERP};
use elf::endian::AnyEndian;
use elf::file::Class;
use elf::to_str::e_machine_to_human_str;

use super::library::Library;
use super::trouble::Trouble;

/// How many interpreters there may be one behind the other, as the kernel has it.
const INTERPRETERS: usize = 5;

/// How much the kernel reads of a script's first line, in bytes.
const FIRST_LINE: u64 = 255;

/// The program that is run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
}

impl Program {
    /// Finds the program of this name as a shell does.
    pub(super) fn find(name: &OsStr) -> Result<Self, Trouble> {
        if name.as_bytes().contains(&b'/') {
            let path = PathBuf::from(name);
            return match path.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(Trouble::NotFound(name.to_owned()))
                }
                Err(error) => Err(Trouble::Unreadable(path, error)),
                Ok(metadata) if is_executable(&metadata) => Ok(Self { path }),
                Ok(_) => Err(Trouble::NotExecutable(path)),
            };
        }
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let mut places = env::split_paths(&path).map(|directory| directory.join(name));
        let is_there =
            |place: &PathBuf| place.metadata().is_ok_and(|metadata| is_executable(&metadata));
        match places.find(is_there) {
            Some(path) => Ok(Self { path }),
            None => Err(Trouble::NotFound(name.to_owned())),
        }
    }

    /// That the library can be loaded into it, or else why not. A script is what its interpreter is.
    pub(super) fn can_be_preloaded(&self, library: &Library) -> Result<(), Trouble> {
        let mut path = self.path.clone();
        for _ in 0..INTERPRETERS {
            if let Some(image) = Image::read(&path).map_err(|error| error.about(&path))? {
                return image.can_load(&path, library);
            }
            path = interpreter(&path)?;
        }
        let why = "its interpreter is a script, and so are the next ones".to_owned();
        Err(Trouble::NotAProgram(self.path.clone(), why))
    }
}

fn is_executable(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}

/// The interpreter of a script. A file that is no script either is one for the shell, as execvp(3) has it.
fn interpreter(path: &Path) -> Result<PathBuf, Trouble> {
    let unreadable = |error| Trouble::Unreadable(path.to_owned(), error);
    let mut start = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FIRST_LINE).read_to_end(&mut start).map_err(unreadable)?;
    let Some(line) = start.strip_prefix(b"#!") else { return Ok(PathBuf::from("/bin/sh")) };
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    let wrong = |why: String| Err(Trouble::NotAProgram(path.to_owned(), why));
    let Some(name) = words.next() else {
        return wrong("its first line names no interpreter".to_owned());
    };
    let interpreter = PathBuf::from(OsStr::from_bytes(name));
    if interpreter.is_file() {
        return Ok(interpreter);
    }
    wrong(format!("its interpreter {} is not there", interpreter.display()))
}

/// What matters of an ELF file.
#[derive(Debug)]
pub(super) struct Image {
    class: Class,
    is_little: bool,
    machine: u16,
    /// The dynamic linker that it wants.
    linker: Option<Vec<u8>>,
}

/// Why an ELF file cannot be looked at.
#[derive(Debug)]
pub(super) enum ImageError {
    Read(io::Error),
    Parse(elf::ParseError),
}

impl ImageError {
    fn about(self, path: &Path) -> Trouble {
        match self {
            Self::Read(error) => Trouble::Unreadable(path.to_owned(), error),
            Self::Parse(error) => {
                Trouble::NotAProgram(path.to_owned(), format!("its ELF file is damaged: {error}"))
            }
        }
    }
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Parse(error) => error.fmt(f),
        }
    }
}

impl Image {
    /// Looks at a file; `None` if it is no ELF file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, ImageError> {
        /// Longer than any path is.
        const LONGEST_NAME: u64 = 4096;
        let mut file = File::open(path).map_err(ImageError::Read)?;
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(ImageError::Read)?;
        if magic != ELFMAGIC {
            return Ok(None);
        }
        let mut stream = ElfStream::<AnyEndian, _>::open_stream(file).map_err(ImageError::Parse)?;
        let segments = stream.segments().iter();
        let interpreter = segments.copied().find(|segment| segment.p_type == PT_INTERP);
        let linker = match interpreter.filter(|segment| segment.p_filesz <= LONGEST_NAME) {
            Some(segment) => {
                let name = stream.segment_data(&segment).map_err(ImageError::Parse)?;
                Some(name.strip_suffix(b"\0").unwrap_or(name).to_vec())
            }
            None => None,
        };
        let header = &stream.ehdr;
        Ok(Some(Self {
            class: header.class,
            is_little: header.endianness == AnyEndian::Little,
            machine: header.e_machine,
            linker,
        }))
    }

    /// That the library can be loaded into the program at `path`, whose file this is.
    fn can_load(&self, path: &Path, library: &Library) -> Result<(), Trouble> {
        let Some(linker) = &self.linker else { return Err(Trouble::Static(path.to_owned())) };
        let other = &library.image;
        if (self.class, self.is_little, self.machine)
            != (other.class, other.is_little, other.machine)
        {
            return Err(Trouble::OtherMachine {
                program: path.to_owned(),
                program_is: self.describe(),
                library: library.path.clone(),
                library_is: other.describe(),
            });
        }
        if linker.windows(5).any(|part| part == b"musl-") {
            return Err(Trouble::Musl(path.to_owned()));
        }
        match rights_of_another(path) {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(Trouble::OtherUser(path.to_owned(), why)),
            Err(error) => Err(Trouble::Unreadable(path.to_owned(), error)),
        }
    }

    /// `for 64 bits, Advanced Micro Devices X86-64`.
    fn describe(&self) -> String {
        let bits = match self.class {
            Class::ELF32 => 32,
            Class::ELF64 => 64,
        };
        let machine = e_machine_to_human_str(self.machine);
        let machine = machine.map_or_else(|| format!("machine {}", self.machine), str::to_owned);
        let order = if self.is_little { "" } else { ", big-endian" };
        format!("for {bits} bits{order}, {machine}")
    }
}

/// Why a program runs with other rights than ours, so that the dynamic linker ignores what is to be preloaded.
fn rights_of_another(path: &Path) -> io::Result<Option<&'static str>> {
    const SET_USER_ID: u32 = 0o4000;
    const SET_GROUP_ID: u32 = 0o2010;
    let metadata = fs::metadata(path)?;
    let mode = metadata.permissions().mode();
    let user = nix::unistd::getuid();
    if mode & SET_USER_ID != 0 && metadata.uid() != user.as_raw() {
        return Ok(Some("it is set-user-id and runs with the rights of its owner"));
    }
    if mode & SET_GROUP_ID == SET_GROUP_ID && metadata.gid() != nix::unistd::getgid().as_raw() {
        return Ok(Some("it is set-group-id and runs with the rights of its group"));
    }
    // Root has them already.
    let has_capabilities = || xattr::get(path, "security.capability").ok().flatten().is_some();
    if !user.is_root() && has_capabilities() {
        return Ok(Some("it has file capabilities"));
    }
    Ok(None)
}
