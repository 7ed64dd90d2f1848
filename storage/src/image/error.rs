//! Why an image can't be used, in words for whoever chose it.

use std::io;

/// What is wrong with an image, or in its way. Messages name the file; nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The host didn't let us.
    #[error("{}", describe(name, source))]
    Io {
        /// The file.
        name: String,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// Another program holds a lock.
    #[error("{name} is used by another machine or program. Stop that first, or use a copy of the image.")]
    InUse {
        /// The file.
        name: String,
    },
    /// Zero bytes long.
    #[error("{name} is empty: there is no disk in it.")]
    Empty {
        /// The file.
        name: String,
    },
    /// It is something, but not an image that a machine can use.
    #[error("{name} is {what}, not a disk image that can be used. {advice}")]
    WrongKind {
        /// The file.
        name: String,
        /// "a web page", "a VMware disk"…
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It can't be a disc.
    #[error("{name} is {what}. Choose an ISO file.")]
    NotDisc {
        /// The file.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// A disc image that ends too early.
    #[error("{name} is cut off: it has {len} of {expected} bytes. Download or copy it again.")]
    Truncated {
        /// The file.
        name: String,
        /// Its length.
        len: u64,
        /// The length that its file system says.
        expected: u64,
    },
    /// Not the format that was asked for.
    #[error("{name} is not a qcow2 image.")]
    NotQcow2 {
        /// The file.
        name: String,
    },
    /// A qcow2 image with something in it that isn't supported.
    #[error("{name} uses {feature}, which isn't supported. {advice}")]
    Unsupported {
        /// The file.
        name: String,
        /// "encryption", "an external data file"…
        feature: String,
        /// What to do.
        advice: &'static str,
    },
    /// Its tables contradict themselves or the file.
    #[error("{name} is damaged: {what}. Restore it from a backup, or try `qemu-img check -r all` on a copy.")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// It was not closed, and its reference counts have to be rebuilt before anyone writes.
    #[error(
        "{name} was not closed properly by the program that used it last. Run `qemu-img check -r all` on it once, or \
         use it read-only."
    )]
    NotClosed {
        /// The file.
        name: String,
    },
    /// It builds on another image, and that one was not given.
    #[error("{name} holds only the changes to another image ({backing}), and that image was not given with it.")]
    BackingMissing {
        /// The file.
        name: String,
        /// The name in its header, for the message only.
        backing: String,
    },
    /// It stands alone, and yet an image to build on was given.
    #[error("{name} doesn't build on another image, so {below} can't be below it.")]
    BackingUnexpected {
        /// The file.
        name: String,
        /// The image given.
        below: String,
    },
    /// The same file twice in a chain.
    #[error("{name} was given twice in the same chain of images.")]
    Loop {
        /// The file.
        name: String,
    },
    /// No image at all.
    #[error("A chain of images needs at least one.")]
    NoImage,
    /// More layers than anyone makes.
    #[error("A chain of {count} images is too long; {limit} is the limit. Merge some snapshots.")]
    ChainTooLong {
        /// How many were given.
        count: usize,
        /// How many are possible.
        limit: usize,
    },
    /// A size that no image can have.
    #[error("A disk of {size} bytes can't be made: {why}.")]
    BadSize {
        /// What was asked for.
        size: u64,
        /// What would be possible.
        why: &'static str,
    },
}

fn describe(name: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{name} can't be written: the disk is full. Free some space and try again")
        }
        io::ErrorKind::PermissionDenied => format!("this account may not write to {name}"),
        _ => format!("{name} can't be read or written"),
    }
}

impl ImageError {
    /// Wraps what the host said about `name`.
    pub(crate) fn io(name: &str) -> impl FnOnce(io::Error) -> ImageError + '_ {
        move |source| ImageError::Io { name: name.to_owned(), source }
    }

    pub(super) fn damaged(name: &str, what: impl Into<String>) -> ImageError {
        ImageError::Damaged { name: name.to_owned(), what: what.into() }
    }

    pub(super) fn unsupported(name: &str, feature: impl Into<String>, advice: &'static str) -> ImageError {
        ImageError::Unsupported { name: name.to_owned(), feature: feature.into(), advice }
    }
}
