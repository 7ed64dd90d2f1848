//! What is on disk: images, the machine library.

pub mod disk;
pub mod image;
pub mod library;
