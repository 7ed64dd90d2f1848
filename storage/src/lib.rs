//! What is on disk: images, the machine library; and what media say of themselves.

pub mod disk;
pub mod image;
pub mod library;
pub mod media;
