//! The kernels that the lab runs: Debian's stock ones, by series.
//!
//! An installed one is used as it is. Otherwise the package is fetched and unpacked into the cache, never installed.
//! The lab starts the uncompressed kernel that a bzImage holds: unpacking it on a software processor would take seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::Apt;
use crate::{places, process};

/// The series that the lab knows, the default first. Debian 12's own kernel has no Xen support in KVM; the one of its
/// backports has.
pub(crate) const SERIES: [&str; 2] = ["6.1", "6.12"];

/// A kernel with its modules.
pub(crate) struct Kernel {
    /// What `uname -r` says in it.
    pub(crate) release: String,
    /// The uncompressed kernel, an ELF file with a PVH entry.
    pub(crate) image: PathBuf,
    /// The folder of its modules, with their `modules.dep`.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// The newest kernel of a series, fetched if need be.
    pub(crate) fn of_series(series: &str) -> Result<Self> {
        if !SERIES.contains(&series) {
            bail!("the lab has no kernel {series}: it has {}", SERIES.join(" and "));
        }
        let kernels = places::cache()?.join("kernels");
        let (root, release) = match installed(Path::new("/"), series) {
            Some(release) => (PathBuf::from("/"), release),
            None => fetched(&kernels, series)?,
        };
        let bzimage = root.join(format!("boot/vmlinuz-{release}"));
        // A new revision of a kernel may keep its release's name, so its size and time belong to the key.
        let meta = fs::metadata(&bzimage).with_context(|| format!("can't read {}", bzimage.display()))?;
        let changed = meta.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let image = kernels.join(format!("vmlinux-{release}-{}-{changed}", meta.len()));
        places::make_once(&image, |scratch| unpack(&bzimage, scratch))?;
        let modules = root.join("lib/modules").join(&release);
        Ok(Self { release, image, modules })
    }
}

/// The newest release of a series with an image and modules below `root`: no cloud or real-time build.
fn installed(root: &Path, series: &str) -> Option<String> {
    let prefix = format!("vmlinuz-{series}.");
    let mut found: Vec<(Vec<u64>, String)> = Vec::new();
    for entry in fs::read_dir(root.join("boot")).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(release) = name.strip_prefix("vmlinuz-") else { continue };
        let stock = release.ends_with("-amd64") && !release.contains("cloud") && !release.contains("rt-");
        let modules = root.join("lib/modules").join(release).join("modules.dep");
        if name.starts_with(&prefix) && stock && modules.is_file() && fs::File::open(entry.path()).is_ok() {
            let numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
            found.push((numbers, release.to_owned()));
        }
    }
    found.into_iter().max().map(|(_, release)| release)
}

/// A kernel from Debian's mirror, unpacked below `kernels`: its root folder and its release.
fn fetched(kernels: &Path, series: &str) -> Result<(PathBuf, String)> {
    let apt = Apt::ready()?;
    let prefix = format!("{series}.");
    let versions = apt.versions("linux-image-amd64")?;
    let version = versions.iter().map(|known| &known.version).find(|version| version.starts_with(&prefix));
    let version = version.with_context(|| format!("Debian's mirror has no linux-image-amd64 {series}"))?;
    let depends = apt.field("linux-image-amd64", version, "Depends")?;
    let package = depends.split([' ', ',']).find(|word| word.starts_with("linux-image-"));
    let package =
        package.with_context(|| format!("linux-image-amd64 {version} depends on {depends:?}, not on a kernel"))?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let root = kernels.join(format!("{release}_{version}"));
    places::make_once(&root, |scratch| {
        eprintln!("xtask: fetching Linux {version} from Debian");
        let download = places::Scratch::new("kernel")?;
        let file = apt.download(package, version, download.path())?;
        process::run(Command::new("dpkg").arg("-x").arg(file).arg(scratch))?;
        let depmod = process::find("depmod").context("depmod is missing: install Debian's kmod")?;
        process::run(Command::new(depmod).arg("-b").arg(scratch).arg(&release))
    })?;
    Ok((root, release))
}

/// Takes the kernel out of a bzImage (Linux boot protocol: `setup_sects` at 0x1f1, magic at 0x202, `payload_offset` at
/// 0x248 and `payload_length` at 0x24c; the payload's last four bytes are its unpacked length).
fn unpack(bzimage: &Path, into: &Path) -> Result<()> {
    let image = fs::read(bzimage).with_context(|| format!("can't read {}", bzimage.display()))?;
    let payload = payload(&image).with_context(|| format!("{} is not a bzImage", bzimage.display()))?;
    let packed = into.with_extension("packed");
    fs::write(&packed, payload).with_context(|| format!("can't write {}", packed.display()))?;
    let unpacked = decompress(&packed, payload).and_then(|kernel| {
        if !kernel.starts_with(b"\x7fELF") {
            bail!("{} doesn't hold an ELF kernel", bzimage.display());
        }
        fs::write(into, kernel).with_context(|| format!("can't write {}", into.display()))
    });
    fs::remove_file(&packed).ok();
    unpacked
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = usize::from(*image.get(0x1f1)?);
    let start = ((sectors + 1) * 512).checked_add(u32_at(0x248)?)?;
    let packed_length = u32_at(0x24c)?.checked_sub(4)?;
    image.get(start..start.checked_add(packed_length)?)
}

/// Unpacks a file by the program that its first bytes ask for.
pub(crate) fn decompress(file: &Path, content: &[u8]) -> Result<Vec<u8>> {
    let program = match content {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x1f, 0x8b, ..] => "gzip",
        _ => return Ok(content.to_vec()),
    };
    let output = process::output(Command::new(program).arg("-dcq").arg(file))?;
    if !output.status.success() {
        bail!("{program} can't unpack {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_where_the_boot_protocol_says() {
        let mut image = vec![0; 4096];
        image[0x1f1] = 3;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&9_u32.to_le_bytes());
        image[2048 + 16..2048 + 21].copy_from_slice(b"inner");
        assert_eq!(payload(&image), Some(b"inner".as_slice()));
        image[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(payload(&image), None);
    }

    #[test]
    fn the_newest_stock_release_of_a_series_is_taken() {
        let root = places::Scratch::new("boot").unwrap();
        for release in ["6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-60-cloud-amd64", "6.12.95+deb12-amd64"] {
            let modules = root.path().join("lib/modules").join(release);
            fs::create_dir_all(&modules).unwrap();
            fs::create_dir_all(root.path().join("boot")).unwrap();
            fs::write(modules.join("modules.dep"), "").unwrap();
            fs::write(root.path().join("boot").join(format!("vmlinuz-{release}")), "").unwrap();
        }
        assert_eq!(installed(root.path(), "6.1").as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(installed(root.path(), "6.12").as_deref(), Some("6.12.95+deb12-amd64"));
        assert_eq!(installed(root.path(), "6.13"), None);
    }
}
