//! A host file system without space: the caller hears it, nothing that was flushed is lost, and it goes on when there
//! is space.

use std::io;
use std::path::Path;
use std::process::Command;

use storage::disk::Disk;
use storage::image::NewImage;

use crate::support::{Folder, assert_clean, assert_sound, open_qcow2, read, text, write};

/// Set for the process that runs with a small file system of its own.
const SMALL_FOLDER: &str = "TEST_SMALL_FOLDER";
const PIECE: u64 = 64 << 10;

fn fill_and_make_space(folder: &Path) {
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let path = folder.join("disk");
    storage::image::create_qcow2(&std::fs::File::create_new(&path).unwrap(), &NewImage::new(64 << 20)).unwrap();
    let image = open_qcow2(&path);

    // As long as there is space, and each flushed
    let mut pieces = 0_u8;
    let refused = loop {
        match write(&image, u64::from(pieces) * PIECE, &vec![pieces + 1; PIECE as usize]).and_then(|()| image.flush()) {
            Ok(()) => pieces += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
    assert!(pieces > 40, "{pieces}");

    // What a crash at this moment would leave
    let holding = |image: &dyn Disk| {
        (0..pieces).all(|piece| {
            read(image, u64::from(piece) * PIECE, PIECE as usize).unwrap() == vec![piece + 1; PIECE as usize]
        })
    };
    assert!(holding(&image));
    let elsewhere = Folder::new();
    let copy = elsewhere.path("copy");
    std::fs::copy(&path, &copy).unwrap();
    assert_sound(&copy);
    assert!(holding(&open_qcow2(&copy)));

    std::fs::remove_file(&filler).unwrap();
    write(&image, u64::from(pieces) * PIECE, &vec![pieces + 1; PIECE as usize]).unwrap();
    image.flush().unwrap();
    assert!(holding(&image));
    drop(image);
    assert_clean(&path);
    assert!(holding(&open_qcow2(&path)));
}

#[test]
fn a_full_host_is_reported_and_survived() {
    if let Some(folder) = std::env::var_os(SMALL_FOLDER) {
        return fill_and_make_space(Path::new(&folder));
    }
    let folder = Folder::new();
    let folder_path = folder.path("");
    let script = "mount -t tmpfs -o size=6m none \"$TEST_SMALL_FOLDER\" || exit 77; exec \"$@\"";
    let this = std::env::current_exe().unwrap();
    // A name space of its own, which ordinary users may have as well
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", text(&this)])
        .args(["--exact", "full::a_full_host_is_reported_and_survived", "--nocapture"])
        .env(SMALL_FOLDER, &folder_path)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) || said.starts_with("unshare:") {
        eprintln!("SKIPPED: this host lets nobody mount a small file system for the test of a full one: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}
