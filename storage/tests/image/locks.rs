//! One writer or many readers, ourselves and QEMU.

use std::fs::File;
use std::io;
use std::sync::Barrier;

use storage::image::{Format, ImageError, ImageSource, NewImage, open_chain};

use crate::support::{Folder, backing, open_qcow2, qemu, qemu_ok, source, text};

const SIZE: u64 = 1 << 20;

#[test]
fn an_image_that_is_written_by_one_is_refused_to_others() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let first = open_qcow2(&path);
    let again = open_chain(vec![source(&path, Format::Qcow2)]).unwrap_err();
    assert!(matches!(again, ImageError::InUse { .. }), "{again}");
    assert!(again.to_string().contains("is used by another machine"), "{again}");
    let reader = open_chain(vec![ImageSource { read_only: true, ..source(&path, Format::Qcow2) }]);
    assert!(matches!(reader, Err(ImageError::InUse { .. })));
    drop(first);
    open_qcow2(&path);
}

#[test]
fn after_a_crash_it_is_waited_for_a_process_on_its_way_out() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let dying = open_qcow2(&path);
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            both.wait();
            open_chain(vec![ImageSource { after_crash: true, ..source(&path, Format::Qcow2) }])
        });
        both.wait();
        // For a while, in which somebody who doesn't wait would be refused
        for _ in 0..100 {
            let refused = open_chain(vec![source(&path, Format::Qcow2)]);
            assert!(matches!(refused, Err(ImageError::InUse { .. })));
        }
        drop(dying);
        next.join().unwrap().unwrap();
    });
}

#[test]
fn two_machines_share_a_base_and_nobody_writes_it() {
    let folder = Folder::new();
    let base = folder.qcow2("base", &NewImage::new(SIZE));
    let tops = ["one", "two"].map(|name| folder.qcow2(name, &NewImage::overlay(SIZE, backing("base", "qcow2"))));
    let open = |top| open_chain(vec![source(&base, Format::Qcow2), source(top, Format::Qcow2)]);
    let _both = [open(&tops[0]).unwrap(), open(&tops[1]).unwrap()];
    assert!(matches!(open_chain(vec![source(&base, Format::Qcow2)]), Err(ImageError::InUse { .. })));
}

#[test]
fn qemu_and_we_keep_out_of_each_others_images() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let writer = open_qcow2(&path);
    assert!(!qemu("qemu-io", &["-f", "qcow2", "-c", "read 0 512", text(&path)]).status.success());
    drop(writer);

    let reader = open_chain(vec![ImageSource { read_only: true, ..source(&path, Format::Qcow2) }]).unwrap();
    qemu_ok("qemu-io", &["-r", "-f", "qcow2", "-c", "read 0 512", text(&path)]);
    assert!(!qemu("qemu-io", &["-f", "qcow2", "-c", "write 0 512", text(&path)]).status.success());
    drop(reader);
    qemu_ok("qemu-io", &["-f", "qcow2", "-c", "write 0 512", text(&path)]);
}

#[test]
fn the_same_file_twice_in_a_chain_is_refused() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::overlay(SIZE, backing("disk", "qcow2")));
    let looped = open_chain(vec![source(&path, Format::Raw), source(&path, Format::Qcow2)]).unwrap_err();
    assert!(matches!(looped, ImageError::Loop { .. }), "{looped}");
}

#[test]
fn a_file_that_is_open_for_reading_only_is_not_taken_for_writing() {
    let folder = Folder::new();
    let path = folder.qcow2("disk", &NewImage::new(SIZE));
    let file = File::open(&path).unwrap();
    let refused = open_chain(vec![ImageSource { file, format: Format::Qcow2, read_only: false, after_crash: false }])
        .unwrap_err();
    assert!(
        matches!(&refused, ImageError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied),
        "{refused}"
    );
}
