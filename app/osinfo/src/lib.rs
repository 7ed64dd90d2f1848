//! What the osinfo database (the package `osinfo-db`, <https://libosinfo.org>) knows of operating systems: which discs are
//! theirs, what they need, when they were released and until when they are mended.
//!
//! [`Database::load`] reads it from the places where libosinfo looks for it. Its files are those of the host, of its
//! administrator and of the person, and none of them is trusted: sizes and numbers are limited, and what can't be
//! understood is skipped with a warning. No database at all is an empty one.
//!
//! Left out: install scripts, drivers, trees, images, data maps, other languages' names, and what a device is (only its
//! id is kept).

mod date;
mod identify;
mod literal;
mod load;
mod newer;
mod parse;
mod places;
mod resources;
mod system;

pub use date::{Date, DateError};
pub use identify::{Identified, Labels, RuleError};
pub use load::{Database, limits};
pub use newer::Newer;
pub use parse::ParseError;
pub use places::Places;
pub use resources::{Needs, Resources};
pub use system::{DeviceSupport, Firmware, Medium, ResourceSet, Status, System};
